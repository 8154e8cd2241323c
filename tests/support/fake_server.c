/* A scripted TCP server on the test's own loop. */
#include "tests/support/fake_server.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "tests/support/net.h"
#include <check.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct step {
    STAILQ_ENTRY(step) link;
    struct fake_step is;
};

struct connection {
    TAILQ_ENTRY(connection) link;
    struct fake_server *server;
    uv_tcp_t tcp;
    uv_timer_t timer; /* a late reply */
    struct buf in;
    struct step *late;
    unsigned closing; /* handles that still close */
    char chunk[65536];
};

TAILQ_HEAD(connection_list, connection);

struct fake_server {
    uv_loop_t *loop;
    const struct fake_language *language;
    struct sockaddr_storage address;
    int port;
    uv_tcp_t *listener; /* NULL: refuses; frees itself when closed */
    struct connection_list connections;
    STAILQ_HEAD(, step) steps;
    struct buf heard;
    unsigned accepted;
    bool freed;
};

static void free_when_closed(struct fake_server *s)
{
    if (!s->freed || !TAILQ_EMPTY(&s->connections))
        return;
    buf_done(&s->heard);
    free(s);
}

static void free_step(struct step *step)
{
    if (!step)
        return;
    free((char *)step->is.expect);
    free((char *)step->is.reply);
    free(step);
}

static void on_part_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    if (--c->closing > 0)
        return;
    TAILQ_REMOVE(&c->server->connections, c, link);
    free_when_closed(c->server);
    buf_done(&c->in);
    free_step(c->late);
    free(c);
}

static void hang_up(struct connection *c, bool reset)
{
    if (c->closing)
        return;
    c->closing = 2;
    if (!reset || uv_tcp_close_reset(&c->tcp, on_part_closed) != 0)
        uv_close((uv_handle_t *)&c->tcp, on_part_closed);
    uv_close((uv_handle_t *)&c->timer, on_part_closed);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    free(write->data);
    free(write);
}

static void say(struct connection *c, const char *text, size_t length)
{
    uv_write_t *write = xmalloc(sizeof *write);
    char *copy = xmalloc(length + 1);
    memcpy(copy, text, length);
    write->data = copy;
    uv_buf_t bytes = uv_buf_init(copy, (unsigned)length);
    ck_assert_int_eq(uv_write(write, (uv_stream_t *)&c->tcp, &bytes, 1, on_written), 0);
}

static void play(struct connection *c, const struct fake_step *step)
{
    if (step->length)
        say(c, step->reply, step->length);
    if (step->then != FAKE_STAY)
        hang_up(c, step->then == FAKE_RESET);
}

static void on_late(uv_timer_t *timer)
{
    struct connection *c = timer->data;
    struct step *step = c->late;
    c->late = NULL;
    play(c, &step->is);
    free_step(step);
}

static void answer(struct connection *c, const char *line)
{
    struct fake_server *s = c->server;
    struct step *step = STAILQ_FIRST(&s->steps);
    if (!step || fnmatch(step->is.expect, line, 0) != 0) {
        const char *text = s->language->answer(line);
        ck_assert_msg(text, "expected: %s\nheard: %s", step ? step->is.expect : "nothing", line);
        say(c, text, strlen(text));
        return;
    }
    STAILQ_REMOVE_HEAD(&s->steps, link);
    if (step->is.delay_ms) {
        ck_assert_msg(!c->late, "two late replies at once");
        c->late = step;
        uv_timer_start(&c->timer, on_late, step->is.delay_ms, 0);
        return;
    }
    play(c, &step->is);
    free_step(step);
}

static void read_requests(struct connection *c)
{
    while (c->in.length && !c->closing) {
        struct buf line = {0};
        size_t taken = c->server->language->parse(c->in.data, c->in.length, &line);
        if (taken) {
            memmove(c->in.data, c->in.data + taken, c->in.length - taken);
            c->in.length -= taken;
            buf_puts(&c->server->heard, line.data);
            buf_puts(&c->server->heard, "\n");
            answer(c, line.data);
        }
        buf_done(&line);
        if (!taken)
            return;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct connection *c = handle->data;
    *ret_buf = uv_buf_init(c->chunk, sizeof c->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *bytes)
{
    struct connection *c = stream->data;
    if (length < 0) {
        hang_up(c, false);
        return;
    }
    buf_append(&c->in, bytes->base, (size_t)length);
    read_requests(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct fake_server *s = listener->data;
    ck_assert_int_eq(status, 0);
    struct connection *c = xcalloc(1, sizeof *c);
    c->server = s;
    uv_tcp_init(s->loop, &c->tcp);
    uv_timer_init(s->loop, &c->timer);
    c->tcp.data = c->timer.data = c;
    TAILQ_INSERT_TAIL(&s->connections, c, link);
    s->accepted++;
    ck_assert_int_eq(uv_accept(listener, (uv_stream_t *)&c->tcp), 0);
    uv_tcp_nodelay(&c->tcp, 1);
    ck_assert_int_eq(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read), 0);
}

struct fake_server *fake_server_new(uv_loop_t *loop, const char *address,
                                    const struct fake_language *language)
{
    signal(SIGPIPE, SIG_IGN);
    struct fake_server *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->language = language;
    s->port = port_reserve();
    TAILQ_INIT(&s->connections);
    STAILQ_INIT(&s->steps);
    if (uv_ip4_addr(address, s->port, (struct sockaddr_in *)&s->address) != 0)
        ck_assert_int_eq(uv_ip6_addr(address, s->port, (struct sockaddr_in6 *)&s->address), 0);
    fake_server_listen(s);
    return s;
}

static void on_listener_closed(uv_handle_t *handle)
{
    free(handle);
}

void fake_server_refuse(struct fake_server *s)
{
    if (s->listener)
        uv_close((uv_handle_t *)s->listener, on_listener_closed);
    s->listener = NULL;
}

void fake_server_listen(struct fake_server *s)
{
    ck_assert(!s->listener);
    s->listener = xcalloc(1, sizeof *s->listener);
    uv_tcp_init(s->loop, s->listener);
    s->listener->data = s;
    ck_assert_int_eq(uv_tcp_bind(s->listener, (struct sockaddr *)&s->address, 0), 0);
    ck_assert_int_eq(uv_listen((uv_stream_t *)s->listener, 64, on_connection), 0);
}

void fake_server_free(struct fake_server *s)
{
    ck_assert_msg(STAILQ_EMPTY(&s->steps), "never heard: %s", STAILQ_FIRST(&s->steps)->is.expect);
    fake_server_refuse(s);
    fake_server_hang_up(s);
    s->freed = true;
    free_when_closed(s);
}

int fake_server_port(const struct fake_server *s)
{
    return s->port;
}

void fake_server_expect(struct fake_server *s, const struct fake_step *step)
{
    struct step *copy = xcalloc(1, sizeof *copy);
    size_t length = step->length ? step->length : strlen(step->reply);
    char *reply = xmalloc(length + 1);
    memcpy(reply, step->reply, length);
    copy->is = *step;
    copy->is.expect = xstrdup(step->expect);
    copy->is.reply = reply;
    copy->is.length = length;
    STAILQ_INSERT_TAIL(&s->steps, copy, link);
}

void fake_server_forget(struct fake_server *s)
{
    struct step *step;
    while ((step = STAILQ_FIRST(&s->steps))) {
        STAILQ_REMOVE_HEAD(&s->steps, link);
        free_step(step);
    }
}

bool fake_server_is_done(const struct fake_server *s)
{
    return STAILQ_EMPTY(&s->steps);
}

void fake_server_say(struct fake_server *s, const char *text)
{
    struct connection *c = TAILQ_LAST(&s->connections, connection_list);
    ck_assert(c && !c->closing);
    say(c, text, strlen(text));
}

void fake_server_hang_up(struct fake_server *s)
{
    struct connection *c;
    TAILQ_FOREACH(c, &s->connections, link)
    hang_up(c, false);
}

const char *fake_server_heard(const struct fake_server *s)
{
    return s->heard.data ? s->heard.data : "";
}

unsigned fake_server_accepted(const struct fake_server *s)
{
    return s->accepted;
}
