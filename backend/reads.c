/* Sharing reads: one read answers everyone who joined it. */
#include "backend/reads.h"

#include <stdlib.h>

#include "backend/metrics.h"
#include "backend/pool.h"
#include "backend/store.h"
#include "lib/mem.h"
#include "lib/metrics.h"

enum { PROBE_EVERY_MS = 1000 };

enum reads_state {
    READS_UNKNOWN, /* nothing was read yet */
    READS_UP,      /* the last read succeeded */
    READS_DOWN     /* the last read failed; the timer leads to the next */
};

struct read {
    struct pool_job job;
    struct reads *reads; /* NULL: given up, its result is for nobody */
    unsigned limit;
    uint64_t started_ns;
    uint64_t give_up_at_ms;
    struct store_users result;
};

struct reads {
    struct reads_options options;
    struct pool *pool;
    struct batch batch;
    struct read *read; /* in flight; NULL: none */
    enum reads_state state;
    uint64_t probe_at_ms; /* while not UP: when to ask again */
    uint64_t armed_at_ms; /* when the timer fires; UINT64_MAX: it does not */
    uv_timer_t timer;
};

static void set_state(struct reads *r, bool up, const char *reason)
{
    enum reads_state state = up ? READS_UP : READS_DOWN;
    if (!up) {
        r->probe_at_ms = uv_now(r->options.loop) + PROBE_EVERY_MS;
        if (r->probe_at_ms < pool_retry_at_ms(r->pool))
            r->probe_at_ms = pool_retry_at_ms(r->pool);
    }
    if (r->state == state)
        return;
    r->state = state;
    metrics_set(r->options.metrics, DATABASE_UP, up);
    r->options.on_state(up, reason, r->options.context);
}

static int on_run(struct pool_job *job, struct store *store, char *reason)
{
    struct read *read = CONTAINER_OF(job, struct read, job);
    return store_read_users(store, read->limit, &read->result, reason);
}

static void count_read(struct reads *r, const struct read *read, int status)
{
    struct metrics *m = r->options.metrics;
    metrics_observe(m, DATABASE_SECONDS, uv_hrtime() - read->started_ns);
    if (status)
        metrics_add(m, DATABASE_FAILURES, 1);
    else if (read->result.left_out)
        metrics_add(m, USERS_LEFT_OUT, 1);
}

/* The read has come to an end for those who wait, though its connection may still be busy. */
static void end_read(struct reads *r, int status, const char *reason)
{
    struct read *read = r->read;
    r->read = NULL;
    read->reads = NULL;
    count_read(r, read, status);
    set_state(r, status == 0, reason);
    if (r->batch.sent > 0) /* 0: it was a probe */
        batch_finish(&r->batch, status, status ? NULL : &read->result);
}

static void on_done(struct pool_job *job, int status, const char *reason)
{
    struct read *read = CONTAINER_OF(job, struct read, job);
    if (read->reads)
        end_read(read->reads, status, reason);
    free(read->result.json);
    free(read);
}

static int start_read(struct reads *r)
{
    int status = pool_check(r->pool);
    if (status)
        return status;
    struct read *read = xcalloc(1, sizeof *read);
    read->job = (struct pool_job){.run = on_run, .on_done = on_done};
    read->reads = r;
    read->limit = r->options.max_users;
    read->started_ns = uv_hrtime();
    read->give_up_at_ms = uv_now(r->options.loop) + r->options.timeout_s * 1000ULL;
    MUST(pool_run(r->pool, &read->job) == 0);
    r->read = read;
    metrics_add(r->options.metrics, DATABASE_CALLS, 1);
    return 0;
}

static void refuse(struct reads *r, int status, uint64_t n)
{
    if (status == UV_EBUSY)
        metrics_add(r->options.metrics, POOL_FULL, n > 0 ? n : 1);
    if (r->state != READS_UP)
        r->probe_at_ms = uv_now(r->options.loop) + PROBE_EVERY_MS;
    if (n > 0)
        batch_finish(&r->batch, status, NULL);
}

static void flush(struct reads *r)
{
    bool probe = r->state != READS_UP && uv_now(r->options.loop) >= r->probe_at_ms;
    uint64_t n = batch_start(&r->batch);
    if (n == 0 && !probe)
        return;
    int status = start_read(r);
    if (status) {
        refuse(r, status, n);
        return;
    }
    if (n > 0) {
        metrics_add(r->options.metrics, USER_READS, 1);
        metrics_observe(r->options.metrics, USER_READ_SIZE, n);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct reads *r = CONTAINER_OF(timer, struct reads, timer);
    uint64_t now = uv_now(r->options.loop);
    r->armed_at_ms = UINT64_MAX;
    batch_expire(&r->batch, now);
    if (r->read && now >= r->read->give_up_at_ms)
        end_read(r, UV_ETIMEDOUT, "it does not answer in time");
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void arm_timer(struct reads *r)
{
    uint64_t at = batch_next_deadline(&r->batch), now = uv_now(r->options.loop);
    if (r->read)
        at = earlier(at, r->read->give_up_at_ms);
    else if (r->state != READS_UP)
        at = earlier(at, r->probe_at_ms);
    if (at >= r->armed_at_ms || at == UINT64_MAX)
        return; /* an early call finds nothing due, and the next turn arms it again */
    r->armed_at_ms = at;
    uv_timer_start(&r->timer, on_timer, at > now ? at - now : 0, 0);
}

static void on_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF((uv_timer_t *)handle, struct reads, timer));
}

struct reads *reads_new(const struct reads_options *options)
{
    struct reads *r = xcalloc(1, sizeof *r);
    struct pool_options pool = {.loop = options->loop,
                                .database = options->database,
                                .size = options->pool_size,
                                .timeout_s = options->timeout_s,
                                .metrics = options->metrics};
    r->options = *options;
    r->armed_at_ms = UINT64_MAX;
    r->pool = pool_new(&pool);
    batch_init(&r->batch, options->max_waiting, options->timeout_s * 1000ULL);
    MUST(uv_timer_init(options->loop, &r->timer) == 0);
    return r;
}

void reads_free(struct reads *r)
{
    if (!r)
        return;
    MUST(r->batch.waiting_count == 0 && r->batch.flight_count == 0);
    if (r->read)
        r->read->reads = NULL;
    pool_free(r->pool);
    uv_close((uv_handle_t *)&r->timer, on_closed);
}

int reads_join(struct reads *r, struct batch_waiter *waiter)
{
    int status = r->read ? 0 : pool_check(r->pool);
    if (status) {
        refuse(r, status, 0);
        return status;
    }
    status = batch_join(&r->batch, waiter, uv_now(r->options.loop));
    if (status == UV_ENOBUFS)
        metrics_add(r->options.metrics, WAITING_FULL, 1);
    return status;
}

void reads_leave(struct reads *r, struct batch_waiter *waiter)
{
    batch_leave(&r->batch, waiter);
}

const char *reads_body(const void *result, size_t *ret_length)
{
    const struct store_users *users = result;
    *ret_length = users->length;
    return users->json;
}

void reads_flush(struct reads *r)
{
    if (!r->read)
        flush(r);
    arm_timer(r);
}

bool reads_is_settled(const struct reads *r)
{
    return pool_busy(r->pool) == 0;
}

bool reads_is_up(const struct reads *r)
{
    return r->state == READS_UP;
}
