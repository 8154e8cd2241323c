/* Many visitors at once, on keep-alive connections, in a thread of their own; usable across a
 * fault. */
#include "tests/support/load.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/net.h"

enum { CONNECTIONS = 64, TIMEOUT_MS = 10000, PAUSE_MS = 10, ROOM = 64 * 1024, PORTS = 2 };

/* IDLE        closed; opens when the pause is over
 * CONNECTING
 * ASKING      a request is outstanding, `got` bytes of its answer came
 * PAUSING     open, waits before the next request
 * CLOSING     uv_close was called; then IDLE, or GONE when the load has ended */
enum state { IDLE, CONNECTING, ASKING, PAUSING, CLOSING, GONE };

struct connection {
    struct load *load; /* borrowed: lives longer */
    uv_tcp_t tcp;
    uv_timer_t timer; /* the deadline of the request, or the end of a pause */
    uv_connect_t connecting;
    uv_write_t writing;
    enum state state;
    bool answered; /* something was answered on this connection */
    int port;
    uint64_t begun_ns;
    size_t got;
    char text[ROOM];
};

struct load {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t wake;
    struct load_options options;
    char *request;
    bool head_only;
    struct connection *connections;
    unsigned live; /* connections that are not GONE */
    size_t begun;  /* requests */
    struct load_record *records;
    size_t room;
    size_t count;                          /* the load's thread's */
    atomic_size_t seen_count, seen_visits; /* the test's view */
    atomic_bool stop;
    atomic_bool finished;
};

static void go_on(struct connection *c);
static void open_connection(struct connection *c);

static bool is_over(const struct load *l)
{
    const struct load_options *o = &l->options;
    return atomic_load(&l->stop) || (o->requests && l->begun >= o->requests) ||
           (o->visits && atomic_load(&l->seen_visits) >= o->visits);
}

static void record(struct connection *c, enum load_end end, int status, const char *body)
{
    struct load *l = c->load;
    if (l->count == l->room)
        l->records = xrealloc(l->records, (l->room = l->room * 2 + 1024) * sizeof *l->records);
    struct load_record *r = &l->records[l->count++];
    *r = (struct load_record){.end = (uint8_t)end,
                              .status = (uint16_t)status,
                              .kind = l->options.kind,
                              .is_total = l->options.asks_total,
                              .at_ms = (uint32_t)(now_ms() - l->options.zero_ms),
                              .took_us = (uint32_t)((now_ns() - c->begun_ns) / 1000)};
    if (body && status == 200) {
        r->number = number_in(body);
        r->users = !strstr(body, "\"users\":null");
    }
    if (r->number && !r->is_total)
        atomic_fetch_add(&l->seen_visits, 1);
    atomic_store(&l->seen_count, l->count);
}

static void on_timer_gone(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    c->state = GONE;
    if (--c->load->live == 0)
        uv_close((uv_handle_t *)&c->load->wake, NULL);
}

static void on_pause_over(uv_timer_t *timer)
{
    go_on(timer->data);
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    c->state = IDLE;
    if (is_over(c->load))
        uv_close((uv_handle_t *)&c->timer, on_timer_gone);
    else if (!uv_is_active((uv_handle_t *)&c->timer))
        open_connection(c);
}

static void close_connection(struct connection *c, unsigned pause)
{
    if (c->state == CLOSING)
        return;
    c->state = CLOSING;
    if (pause)
        uv_timer_start(&c->timer, on_pause_over, pause, 0);
    else
        uv_timer_stop(&c->timer);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void give_up(struct connection *c, enum load_end end)
{
    record(c, end, 0, NULL);
    close_connection(c, PAUSE_MS);
}

static void on_deadline(uv_timer_t *timer)
{
    give_up(timer->data, LOAD_TIMED_OUT);
}

static void on_written(uv_write_t *writing, int status)
{
    (void)writing, (void)status; /* an error shows itself in reading too */
}

static void ask(struct connection *c)
{
    struct load *l = c->load;
    uv_buf_t text = uv_buf_init(l->request, (unsigned)strlen(l->request));
    c->state = ASKING;
    c->got = 0;
    if (uv_write(&c->writing, (uv_stream_t *)&c->tcp, &text, 1, on_written) != 0)
        give_up(c, c->answered ? LOAD_RESET_BEFORE : LOAD_RESET_FRESH);
}

static void begin(struct connection *c)
{
    c->load->begun++;
    c->begun_ns = now_ns();
    uv_timer_start(&c->timer, on_deadline, c->load->options.timeout_ms, 0);
}

/* Whatever comes next for this connection, after an answer or a pause. */
static void go_on(struct connection *c)
{
    bool over = is_over(c->load);
    if (c->state == CLOSING)
        return; /* on_closed looks again */
    if (c->state == IDLE && over)
        uv_close((uv_handle_t *)&c->timer, on_timer_gone);
    else if (c->state == IDLE)
        open_connection(c);
    else if (over)
        close_connection(c, 0);
    else {
        begin(c);
        ask(c);
    }
}

/* The length of the whole answer; 0: its head is not there yet. */
static size_t answer_length(const char *text, bool head_only)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = end && !head_only ? strcasestr(text, "\r\ncontent-length:") : NULL;
    if (!end)
        return 0;
    return (size_t)(end - text) + 4 + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

static void on_answer(struct connection *c)
{
    int status = atoi(c->text + 9);
    const char *body = strstr(c->text, "\r\n\r\n");
    const char *close = strcasestr(c->text, "\r\nconnection: close");
    unsigned pause = status == 503 ? PAUSE_MS : c->load->options.pause_ms;
    record(c, LOAD_ANSWERED, status, body);
    c->answered = true;
    if (close && close < body) {
        close_connection(c, pause);
    } else if (pause && !is_over(c->load)) {
        c->state = PAUSING;
        uv_timer_start(&c->timer, on_pause_over, pause, 0);
    } else {
        go_on(c);
    }
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret)
{
    struct connection *c = handle->data;
    (void)wanted;
    *ret = uv_buf_init(c->text + c->got, (unsigned)(ROOM - 1 - c->got));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *unused)
{
    struct connection *c = stream->data;
    (void)unused;
    if (n == 0 || c->state == CLOSING)
        return;
    if (n < 0 && c->state != ASKING) {
        close_connection(c, PAUSE_MS); /* nothing was asked: nothing is lost */
    } else if (n < 0) {
        give_up(c, c->got ? LOAD_RESET_MIDDLE : c->answered ? LOAD_RESET_BEFORE : LOAD_RESET_FRESH);
    } else {
        c->got += (size_t)n;
        c->text[c->got] = '\0';
        size_t whole = answer_length(c->text, c->load->head_only);
        if (whole && c->got >= whole)
            on_answer(c);
    }
}

static void on_connected(uv_connect_t *connecting, int status)
{
    struct connection *c = CONTAINER_OF(connecting, struct connection, connecting);
    if (status == UV_ECANCELED || c->state == CLOSING)
        return;
    if (status != 0) {
        give_up(c, LOAD_REFUSED);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_room, on_read);
    ask(c);
}

static void open_connection(struct connection *c)
{
    struct sockaddr_in to;
    uv_ip4_addr("127.0.0.1", c->port, &to);
    uv_tcp_init(&c->load->loop, &c->tcp);
    c->tcp.data = c;
    c->state = CONNECTING;
    c->answered = false;
    c->got = 0;
    begin(c);
    if (uv_tcp_connect(&c->connecting, &c->tcp, (struct sockaddr *)&to, on_connected) != 0)
        give_up(c, LOAD_REFUSED);
}

/* The test said stop: those who pause or are closed would else look only when their timer fires. */
static void on_wake(uv_async_t *wake)
{
    struct load *l = wake->data;
    for (unsigned i = 0; i < l->options.connections; i++) {
        struct connection *c = &l->connections[i];
        if (c->state == IDLE || c->state == PAUSING) {
            uv_timer_stop(&c->timer);
            if (!uv_is_closing((uv_handle_t *)&c->timer))
                go_on(c);
        }
    }
}

static void run(void *arg)
{
    struct load *l = arg;
    uv_run(&l->loop, UV_RUN_DEFAULT);
    atomic_store(&l->finished, true);
}

static void add_connection(struct load *l, unsigned i)
{
    struct connection *c = &l->connections[i];
    unsigned ports = l->options.port[1] ? PORTS : 1;
    c->load = l;
    c->port = l->options.port[i % ports];
    uv_timer_init(&l->loop, &c->timer);
    c->timer.data = c;
    l->live++;
    open_connection(c);
}

struct load *load_start(const struct load_options *options)
{
    struct load *l = xcalloc(1, sizeof *l);
    struct load_options *o = &l->options;
    *o = *options;
    o->connections = o->connections ? o->connections : CONNECTIONS;
    o->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
    o->method = o->method ? o->method : "GET";
    l->head_only = strcmp(o->method, "HEAD") == 0;
    l->request =
        xasprintf("%s %s HTTP/1.1\r\nHost: tally.test\r\n%s\r\n", o->method,
                  o->path ? o->path : "/", o->fields ? o->fields : "Accept: application/json\r\n");
    l->connections = xcalloc(o->connections, sizeof *l->connections);
    ck_assert_int_eq(uv_loop_init(&l->loop), 0);
    uv_async_init(&l->loop, &l->wake, on_wake);
    l->wake.data = l;
    for (unsigned i = 0; i < o->connections; i++)
        add_connection(l, i);
    ck_assert_int_eq(uv_thread_create(&l->thread, run, l), 0);
    return l;
}

static void wait_for(atomic_size_t *seen, size_t more, unsigned deadline_ms)
{
    size_t start = atomic_load(seen);
    unsigned long long end = now_ms() + deadline_ms;
    while (atomic_load(seen) < start + more) {
        ck_assert_msg(now_ms() < end, "only %zu of %zu came within %u ms",
                      atomic_load(seen) - start, more, deadline_ms);
        pause_ms(1);
    }
}

void load_wait_visits(struct load *l, size_t more, unsigned deadline_ms)
{
    wait_for(&l->seen_visits, more, deadline_ms);
}

void load_wait_requests(struct load *l, size_t more, unsigned deadline_ms)
{
    wait_for(&l->seen_count, more, deadline_ms);
}

void load_stop(struct load *l)
{
    atomic_store(&l->stop, true);
    uv_async_send(&l->wake);
}

struct load_result load_finish(struct load *l, unsigned deadline_ms)
{
    unsigned long long end = now_ms() + deadline_ms;
    while (!atomic_load(&l->finished)) {
        ck_assert_msg(now_ms() < end, "the load did not end within %u ms: %zu requests, %zu visits",
                      deadline_ms, atomic_load(&l->seen_count), atomic_load(&l->seen_visits));
        pause_ms(1);
    }
    uv_thread_join(&l->thread);
    ck_assert_int_eq(uv_loop_close(&l->loop), 0);
    struct load_result r = {.records = l->records, .count = l->count};
    load_sum_up(&r);
    free(l->connections);
    free(l->request);
    free(l);
    return r;
}
