/* Fuzzes what Redis answers: any bytes, in any pieces, through the client and the visit counter. */
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <uv.h>
#include "frontend/metrics.h"
#include "frontend/visits.h"
#include "lib/log.h"
#include "lib/must.h"
#include "lib/url.h"

/* DESIGN. The first byte says how well the server begins: it may answer PING, and the greeting too,
 * before it goes wild. The rest is sent piece by piece, a piece (up to a byte 0xff) a turn of the
 * loop; a few turns after the last one the server hangs up. That ends the play: nothing waits for a
 * time-out. */
enum { GOOD_PING = 1, GOOD_GREETING = 2, GUESTS = 4, LAST_TURNS = 3, DEADLINE_MS = 500 };

struct play {
    uv_loop_t loop;
    uv_tcp_t listener, peer;
    uv_timer_t deadline;
    uv_prepare_t turn;
    uv_idle_t wild; /* runs once the server has gone wild */
    struct visits *visits;
    struct batch_waiter guests[GUESTS], reader;
    unsigned flags, said, last_turns;
    const uint8_t *at, *end;
    bool accepted, joined, over;
    char heard[4096];
};

static void finish(struct play *p)
{
    if (p->over)
        return;
    p->over = true;
    if (p->accepted)
        uv_close((uv_handle_t *)&p->peer, NULL);
    uv_close((uv_handle_t *)&p->listener, NULL);
    uv_close((uv_handle_t *)&p->deadline, NULL);
    uv_close((uv_handle_t *)&p->turn, NULL);
    uv_close((uv_handle_t *)&p->wild, NULL);
    visits_free(p->visits);
}

static void on_number(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)waiter;
    MUST((status == 0) == (result != NULL));
    MUST(result == NULL || visits_number(index, result) >= 1);
}

static void on_total(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)waiter, (void)index;
    MUST((status == 0) == (result != NULL));
    MUST(result == NULL || visits_total(result) >= 0);
}

static void join_all(struct play *p)
{
    p->joined = true;
    for (int i = 0; i < GUESTS; i++) {
        p->guests[i].on_done = on_number;
        MUST(visits_join(p->visits, &p->guests[i]) == 0);
    }
    p->reader.on_done = on_total;
    MUST(visits_join_total(p->visits, &p->reader) == 0);
}

static void on_turn(uv_prepare_t *turn)
{
    struct play *p = turn->data;
    if (!p->joined && visits_is_up(p->visits))
        join_all(p);
    visits_flush(p->visits);
}

static void say(struct play *p, const void *bytes, size_t length)
{
    uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)length);
    (void)uv_try_write((uv_stream_t *)&p->peer, &buf, 1); /* whoever hung up hears nothing */
}

/* The next piece, each turn; then the end. */
static void on_wild(uv_idle_t *wild)
{
    struct play *p = wild->data;
    if (p->at == p->end) {
        if (++p->last_turns >= LAST_TURNS)
            finish(p);
        return;
    }
    const uint8_t *mark = memchr(p->at, 0xff, (size_t)(p->end - p->at));
    const uint8_t *stop = mark ? mark : p->end;
    if (stop > p->at)
        say(p, p->at, (size_t)(stop - p->at));
    p->at = mark ? mark + 1 : p->end;
}

static void answer(struct play *p)
{
    static const char pong[] = "+PONG\r\n", greeting[] = "*2\r\n:0\r\n:0\r\n";
    unsigned turn = p->said++;
    if (turn == 0 && p->flags & GOOD_PING)
        say(p, pong, sizeof pong - 1);
    else if (turn == 1 && p->flags & GOOD_PING && p->flags & GOOD_GREETING)
        say(p, greeting, sizeof greeting - 1);
    else if (!uv_is_active((uv_handle_t *)&p->wild))
        MUST(uv_idle_start(&p->wild, on_wild) == 0);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret)
{
    struct play *p = handle->data;
    (void)wanted;
    *ret = uv_buf_init(p->heard, sizeof p->heard);
}

static void on_heard(uv_stream_t *stream, ssize_t n, const uv_buf_t *unused)
{
    struct play *p = stream->data;
    (void)unused;
    if (n < 0)
        finish(p);
    else if (n > 0 && !p->over)
        answer(p);
}

static void on_visitor(uv_stream_t *listener, int status)
{
    struct play *p = listener->data;
    if (status != 0 || p->accepted)
        return;
    MUST(uv_tcp_init(&p->loop, &p->peer) == 0);
    p->peer.data = p;
    p->accepted = true;
    MUST(uv_accept(listener, (uv_stream_t *)&p->peer) == 0);
    MUST(uv_read_start((uv_stream_t *)&p->peer, on_room, on_heard) == 0);
}

static void on_deadline(uv_timer_t *timer)
{
    finish(timer->data);
}

static int listen_anywhere(struct play *p)
{
    struct sockaddr_in at;
    int length = sizeof at;
    uv_ip4_addr("127.0.0.1", 0, &at);
    MUST(uv_tcp_init(&p->loop, &p->listener) == 0);
    p->listener.data = p;
    MUST(uv_tcp_bind(&p->listener, (struct sockaddr *)&at, 0) == 0);
    MUST(uv_listen((uv_stream_t *)&p->listener, 4, on_visitor) == 0);
    MUST(uv_tcp_getsockname(&p->listener, (struct sockaddr *)&at, &length) == 0);
    return ntohs(at.sin_port);
}

static void start(struct play *p, struct visits_options *options)
{
    MUST(uv_timer_init(&p->loop, &p->deadline) == 0);
    MUST(uv_prepare_init(&p->loop, &p->turn) == 0);
    MUST(uv_idle_init(&p->loop, &p->wild) == 0);
    p->deadline.data = p->turn.data = p->wild.data = p;
    MUST(uv_timer_start(&p->deadline, on_deadline, DEADLINE_MS, 0) == 0);
    MUST(uv_prepare_start(&p->turn, on_turn) == 0);
    MUST(visits_new(options, &p->visits) == 0);
}

static void prepare_process(void)
{
    static bool done;
    if (!done) {
        log_init("fuzz", LOG_ERROR + 1);
        signal(SIGPIPE, SIG_IGN);
    }
    done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct play p = {.flags = data[0], .at = data + 1, .end = data + size};
    struct url url = {0};
    char text[64];
    _Atomic int64_t floor = 0;
    prepare_process();
    MUST(uv_loop_init(&p.loop) == 0);
    snprintf(text, sizeof text, "redis://127.0.0.1:%d/0", listen_anywhere(&p));
    MUST(url_parse(text, &url) == NULL);
    struct metrics *metrics = metrics_new(frontend_metrics, FRONTEND_METRICS);
    start(&p, &(struct visits_options){.loop = &p.loop,
                                       .url = &url,
                                       .timeout_ms = 2 * DEADLINE_MS,
                                       .max_waiting = GUESTS,
                                       .floor = &floor,
                                       .metrics = metrics});
    uv_run(&p.loop, UV_RUN_DEFAULT);
    MUST(uv_loop_close(&p.loop) == 0);
    metrics_free(metrics);
    url_done(&url);
    return 0;
}
