/* A loop with an HTTP server on it and handlers that a test plays by hand. */
#include "tests/support/stage.h"

#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/listen.h"
#include "lib/mem.h"
#include "tests/support/net.h"

enum { DEADLINE_MS = 5000, BIG = 1 << 20 };

static void reply_text(struct http_request *req, const char *text)
{
    http_reply(req, &(struct http_reply){.status = 200,
                                         .content_type = "text/plain",
                                         .body = text,
                                         .length = strlen(text)});
}

static void get_now(struct http_request *req, void *context)
{
    (void)context;
    reply_text(req, "now");
}

static void get_big(struct http_request *req, void *context)
{
    (void)context;
    char *body = xmalloc(BIG);
    memset(body, 'b', BIG);
    http_reply(req, &(struct http_reply){.status = 200, .body = body, .length = BIG});
    free(body);
}

static void get_page(struct http_request *req, void *context)
{
    (void)context;
    char *body =
        xasprintf("%s%s%s %s", http_wants_json(req) ? "json" : "html",
                  http_is_prefetch(req) ? " prefetch" : "",
                  http_has_query_flag(req, "verbose") ? " verbose" : "", http_traceparent(req));
    http_reply(req, &(struct http_reply){.status = 200,
                                         .content_type = "text/html; charset=utf-8",
                                         .field = "X-Visit",
                                         .value = "unavailable",
                                         .retry_after_s = 7,
                                         .degraded = "redis",
                                         .body = body,
                                         .length = strlen(body)});
    free(body);
}

static void get_echo(struct http_request *req, void *context)
{
    (void)context;
    const char *value = http_header(req, "x-echo");
    reply_text(req, value ? value : "absent");
}

static void get_wait(struct http_request *req, void *context)
{
    struct stage *s = context;
    struct stage_wait *wait = http_state(req);
    TAILQ_INSERT_TAIL(&s->waits, wait, link);
    s->asked++;
}

static void on_wait_gone(struct http_request *req, void *context)
{
    struct stage *s = context;
    struct stage_wait *wait = http_state(req);
    TAILQ_REMOVE(&s->waits, wait, link);
    s->gone++;
}

static void get_dull(struct http_request *req, void *context)
{
    (void)req;
    ((struct stage *)context)->asked++;
}

static void get_fail(struct http_request *req, void *context)
{
    (void)context;
    http_reply_error(req, 503, "Not <now>.");
}

static const struct http_route routes[] = {
    {.path = "/now", .on_get = get_now, .content_type = "text/plain"},
    {.path = "/wait",
     .on_get = get_wait,
     .on_gone = on_wait_gone,
     .state_size = sizeof(struct stage_wait),
     .content_type = "text/plain"},
    {.path = "/big", .on_get = get_big, .content_type = "application/octet-stream"},
    {.path = "/page", .on_get = get_page, .content_type = "text/html", .negotiated = true},
    {.path = "/echo", .on_get = get_echo},
    {.path = "/dull", .on_get = get_dull},
    {.path = "/fail", .on_get = get_fail},
    {0},
};

static void on_done(const struct http_outcome *outcome, void *context)
{
    struct stage *s = context;
    s->done++;
    s->last_status = outcome->status;
    snprintf(s->last_method, sizeof s->last_method, "%s", outcome->method);
    snprintf(s->last_path, sizeof s->last_path, "%s", outcome->path);
    snprintf(s->last_id, sizeof s->last_id, "%s", http_request_id(outcome->request));
    snprintf(s->last_trace, sizeof s->last_trace, "%.32s", http_traceparent(outcome->request) + 3);
}

static void on_complaint(const char *text, void *context)
{
    struct stage *s = context;
    s->complaints++;
    snprintf(s->last_complaint, sizeof s->last_complaint, "%s", text);
}

static void on_turn(uv_prepare_t *turn)
{
    struct stage *s = turn->data;
    s->turns++;
    http_run(s->http);
    http_arm(s->http);
}

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    return ntohs(address.sin_port);
}

void stage_open(struct stage *s, const struct http_options *options)
{
    char *reason = NULL;
    struct http_options o = *options;
    *s = (struct stage){0};
    TAILQ_INIT(&s->waits);
    ck_assert_int_eq(uv_loop_init(&s->loop), 0);
    ck_assert_int_eq(listen_on("127.0.0.1", 0, &s->listen_fd, &reason), 0);
    s->port = port_of(s->listen_fd);
    o.loop = &s->loop;
    o.listen_fd = s->listen_fd;
    o.routes = routes;
    o.context = s;
    o.csp = "default-src 'none'";
    o.max_connections = o.max_connections ? o.max_connections : 100;
    o.connection_timeout_s = o.connection_timeout_s ? o.connection_timeout_s : 60;
    o.on_done = on_done;
    o.on_library_message = on_complaint;
    ck_assert_int_eq(http_new(&o, &s->http), 0);
    close(s->listen_fd);
    uv_prepare_init(&s->loop, &s->turn);
    s->turn.data = s;
    uv_prepare_start(&s->turn, on_turn);
}

void stage_close(struct stage *s)
{
    uv_close((uv_handle_t *)&s->turn, NULL);
    http_free(s->http);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&s->loop), 0);
    ck_assert(TAILQ_EMPTY(&s->waits));
}

static void await(struct stage *s, const unsigned *value, unsigned count)
{
    unsigned long long deadline = now_ms() + DEADLINE_MS;
    while (*value < count) {
        ck_assert_msg(now_ms() < deadline, "waited for %u, got %u", count, *value);
        if (uv_run(&s->loop, UV_RUN_NOWAIT) == 0)
            return;
        pause_ms(1);
    }
}

void stage_await_waits(struct stage *s, unsigned count)
{
    await(s, &s->asked, count);
}

void stage_await_gone(struct stage *s, unsigned count)
{
    await(s, &s->gone, count);
}

static void on_pass_over(uv_timer_t *timer)
{
    uv_stop(timer->loop);
    uv_close((uv_handle_t *)timer, NULL);
}

unsigned stage_pass(struct stage *s, unsigned ms)
{
    uv_timer_t timer;
    unsigned before = s->turns;
    uv_timer_init(&s->loop, &timer);
    uv_update_time(&s->loop);
    uv_timer_start(&timer, on_pass_over, ms, 0);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_run(&s->loop, UV_RUN_NOWAIT); /* the timer's close callback */
    return s->turns - before;
}

void stage_answer(struct stage *s)
{
    struct stage_wait *wait = TAILQ_FIRST(&s->waits);
    ck_assert_msg(wait != NULL, "nobody waits");
    TAILQ_REMOVE(&s->waits, wait, link);
    reply_text(http_request_of(wait), "waited");
}
