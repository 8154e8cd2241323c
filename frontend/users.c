/* The users, read from the backend: one fetch answers every page that waits for it.
 *
 * DESIGN. A page waits for its number too, and Redis is the slower one. A fetch that went before
 * the script call would be back too early, and those who came in between would need one more; so it
 * is held back for that call, as long as lib/batch.h says. Users that did not change since the last
 * fetch are not parsed and written out again: the list made of an answer serves for each further
 * one of the very same bytes. Whether the backend is up is what its last answer said. The first
 * question is asked at start, by a waiter of our own; while the backend is down the same waiter
 * asks again every second, so that dependency_up and the log tell of its return also when
 * nobody visits. */
#include "frontend/users.h"

#include "frontend/metrics.h"
#include "frontend/user_list.h"
#include "lib/buf.h"
#include "lib/fetch.h"
#include "lib/http.h"
#include "lib/log.h"
#include "lib/mem.h"

#include <stdlib.h>
#include <string.h>

struct users {
    uv_loop_t *loop;
    struct batch batch;
    struct fetch *fetch;
    struct metrics *metrics;
    struct users_waiter probe;
    struct user_list *list; /* of the last good answer; NULL before it */
    struct buf answer;      /* its bytes */
    uv_timer_t deadline, probing;
    unsigned open_handles;
    unsigned timeout_ms, probe_ms;
    uint64_t sent_ns;
    enum { USERS_UNKNOWN, USERS_UP, USERS_DOWN } state;
};

static void on_deadline(uv_timer_t *timer)
{
    struct users *u = timer->data;
    uint64_t now = uv_now(u->loop);
    batch_expire(&u->batch, now);
    uint64_t next = batch_next_deadline(&u->batch);
    if (next != UINT64_MAX)
        MUST(uv_timer_start(timer, on_deadline, next > now ? next - now : 1, 0) == 0);
}

static void join_probe(struct users *u)
{
    if (u->probe.base.place != BATCH_OUTSIDE)
        return;
    int full = users_join(u, &u->probe);
    (void)full; /* then there are others who ask */
}

static void on_probe(uv_timer_t *timer)
{
    join_probe(timer->data);
}

static void on_probe_done(struct batch_waiter *waiter, int status, uint64_t index,
                          const void *result)
{
    (void)waiter, (void)status, (void)index, (void)result;
}

static void set_up(struct users *u)
{
    if (u->state == USERS_UP)
        return;
    u->state = USERS_UP;
    metrics_set(u->metrics, BACKEND_UP, 1);
    uv_timer_stop(&u->probing);
    log_begin(LOG_INFO, "backend is ready");
    log_end();
}

static void set_down(struct users *u, const char *reason)
{
    metrics_add(u->metrics, BACKEND_FAILURES, 1);
    if (u->state == USERS_DOWN)
        return;
    u->state = USERS_DOWN;
    metrics_set(u->metrics, BACKEND_UP, 0);
    MUST(uv_timer_start(&u->probing, on_probe, u->probe_ms, u->probe_ms) == 0);
    log_begin(LOG_WARN, "backend is unavailable");
    log_text("reason", reason);
    log_end();
}

static void fail(struct users *u, int status, const char *reason)
{
    set_down(u, reason);
    batch_finish(&u->batch, status, NULL);
}

/* NULL, or what is wrong with the answer. */
static const char *take_answer(struct users *u, const char *body, size_t length)
{
    struct user_list *list;
    if (u->list && u->answer.length == length && memcmp(u->answer.data, body, length) == 0)
        return NULL;
    const char *wrong = user_list_parse(body, length, &list);
    if (wrong)
        return wrong;
    user_list_unref(u->list);
    u->list = list;
    buf_clear(&u->answer);
    buf_append(&u->answer, body, length);
    return NULL;
}

static void on_fetched(void *arg, int status, const char *body, size_t length, const char *reason)
{
    struct users *u = arg;
    if (status == UV_ECANCELED) { /* we are leaving */
        batch_finish(&u->batch, status, NULL);
        return;
    }
    metrics_observe(u->metrics, BACKEND_SECONDS, uv_hrtime() - u->sent_ns);
    if (status != 0) {
        fail(u, status, reason);
        return;
    }
    const char *wrong = take_answer(u, body, length);
    if (wrong) {
        fail(u, UV_EPROTO, wrong);
        return;
    }
    set_up(u);
    batch_finish(&u->batch, 0, u->list);
}

static void on_closed(uv_handle_t *handle)
{
    struct users *u = handle->data;
    if (--u->open_handles > 0)
        return;
    user_list_unref(u->list);
    buf_done(&u->answer);
    free(u);
}

static void init_timer(struct users *u, uv_timer_t *timer)
{
    MUST(uv_timer_init(u->loop, timer) == 0);
    timer->data = u;
    u->open_handles++;
}

int users_new(const struct users_options *options, struct users **ret_users)
{
    struct users *u = xcalloc(1, sizeof(*u));
    u->loop = options->loop;
    u->metrics = options->metrics;
    u->timeout_ms = options->timeout_ms;
    u->probe_ms = options->probe_ms;
    int status = fetch_new(&(struct fetch_options){.loop = options->loop,
                                                   .url = options->url,
                                                   .timeout_ms = options->timeout_ms,
                                                   .max_body = USER_LIST_MAX_BYTES},
                           &u->fetch);
    if (status != 0) {
        free(u);
        return status;
    }
    batch_init(&u->batch, options->max_waiting, options->timeout_ms);
    init_timer(u, &u->deadline);
    init_timer(u, &u->probing);
    u->probe.base.on_done = on_probe_done;
    join_probe(u);
    *ret_users = u;
    return 0;
}

void users_free(struct users *u)
{
    if (!u)
        return;
    batch_leave(&u->batch, &u->probe.base);
    fetch_free(u->fetch);
    uv_close((uv_handle_t *)&u->deadline, on_closed);
    uv_close((uv_handle_t *)&u->probing, on_closed);
}

int users_join(struct users *u, struct users_waiter *waiter)
{
    int status = batch_join(&u->batch, &waiter->base, uv_now(u->loop));
    if (status != 0) {
        metrics_add(u->metrics, USERS_FULL, 1);
        return status;
    }
    if (!uv_is_active((uv_handle_t *)&u->deadline))
        MUST(uv_timer_start(&u->deadline, on_deadline, u->timeout_ms, 0) == 0);
    return 0;
}

void users_leave(struct users *u, struct users_waiter *waiter)
{
    batch_leave(&u->batch, &waiter->base);
}

struct user_list *users_result(const void *result)
{
    return user_list_ref((struct user_list *)result);
}

/* A turn within a millisecond; the deadlines' timer finds nothing to do and is armed as before. */
static void look_again(struct users *u)
{
    if (!uv_is_active((uv_handle_t *)&u->deadline) || uv_timer_get_due_in(&u->deadline) > 1)
        MUST(uv_timer_start(&u->deadline, on_deadline, 1, 0) == 0);
}

void users_flush(struct users *u, bool numbers_wait)
{
    if (batch_follows(&u->batch, numbers_wait, uv_hrtime())) {
        look_again(u);
        return;
    }
    if (batch_start(&u->batch) == 0)
        return;
    const struct users_waiter *first =
        CONTAINER_OF(TAILQ_FIRST(&u->batch.flight), struct users_waiter, base);
    metrics_add(u->metrics, BACKEND_CALLS, 1);
    u->sent_ns = uv_hrtime();
    struct http_request *req = first->request;
    int status = fetch_get(u->fetch, req ? http_request_id(req) : NULL,
                           req ? http_traceparent(req) : NULL, on_fetched, u);
    if (status != 0)
        fail(u, status, uv_strerror(status));
}

bool users_is_up(const struct users *u)
{
    return u->state == USERS_UP;
}
