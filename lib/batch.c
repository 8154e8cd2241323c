/* Batching by flight time: one call in flight, everybody else waits for the next. */
#include "lib/batch.h"
#include <uv.h>

/* What a waiter's index says while it waits: it was there when batch_fail_waiting began. */
static const uint64_t MARKED = UINT64_MAX;
/* Clients beside a busy server take about 10 us each to ask again. */
static const uint64_t GATHER_NS = 500 * 1000;
/* Some calls of a store that syncs each to disk. */
static const uint64_t FOLLOW_NS = 5 * 1000 * 1000;

static void take_out(struct batch *b, struct batch_waiter *waiter)
{
    if (waiter->place == BATCH_WAITING) {
        TAILQ_REMOVE(&b->waiting, waiter, link);
        b->waiting_count--;
    } else {
        TAILQ_REMOVE(&b->flight, waiter, link);
        b->flight_count--;
    }
    waiter->place = BATCH_OUTSIDE;
}

/* The waiter's last moment in the batch: on_done may free it or let it join again. */
static void tell(struct batch *b, struct batch_waiter *waiter, int status, const void *result)
{
    take_out(b, waiter);
    waiter->on_done(waiter, status, waiter->index, result);
}

void batch_init(struct batch *b, size_t limit, uint64_t timeout_ms)
{
    MUST(timeout_ms > 0); /* else a waiter that joins again in on_done would expire for ever */
    *b = (struct batch){.limit = limit, .timeout_ms = timeout_ms};
    TAILQ_INIT(&b->waiting);
    TAILQ_INIT(&b->flight);
}

int batch_join(struct batch *b, struct batch_waiter *waiter, uint64_t now_ms)
{
    MUST(waiter->place == BATCH_OUTSIDE);
    if (b->waiting_count + b->flight_count >= b->limit)
        return UV_ENOBUFS;
    waiter->deadline_ms = now_ms + b->timeout_ms;
    waiter->index = 0;
    waiter->place = BATCH_WAITING;
    TAILQ_INSERT_TAIL(&b->waiting, waiter, link);
    b->waiting_count++;
    return 0;
}

void batch_leave(struct batch *b, struct batch_waiter *waiter)
{
    if (waiter->place != BATCH_OUTSIDE)
        take_out(b, waiter);
}

static bool hold(struct batch *b, bool more_come, uint64_t now_ns, uint64_t limit_ns)
{
    if (b->sent || b->waiting_count == 0 || !more_come) {
        b->held_since_ns = 0;
        return false;
    }
    if (b->held_since_ns == 0)
        b->held_since_ns = now_ns;
    return now_ns - b->held_since_ns < limit_ns;
}

bool batch_gathers(struct batch *b, uint64_t now_ns)
{
    return hold(b, b->waiting_count < b->last, now_ns, GATHER_NS);
}

bool batch_follows(struct batch *b, bool slower_waits, uint64_t now_ns)
{
    return hold(b, slower_waits, now_ns, FOLLOW_NS);
}

uint64_t batch_start(struct batch *b)
{
    if (b->sent || !b->waiting_count)
        return 0;
    MUST(TAILQ_EMPTY(&b->flight));
    struct batch_waiter *waiter;
    TAILQ_FOREACH(waiter, &b->waiting, link)
    {
        waiter->index = b->sent++;
        waiter->place = BATCH_IN_FLIGHT;
    }
    TAILQ_CONCAT(&b->flight, &b->waiting, link);
    b->flight_count = b->waiting_count;
    b->waiting_count = 0;
    b->last = b->sent;
    b->held_since_ns = 0;
    return b->sent;
}

void batch_finish(struct batch *b, int status, const void *result)
{
    struct batch_waiter *waiter;
    MUST(b->sent);
    /* In flight until all are told: an on_done cannot start the next call in their middle. */
    while ((waiter = TAILQ_FIRST(&b->flight)))
        tell(b, waiter, status, result);
    b->sent = 0;
}

void batch_fail_waiting(struct batch *b, int status)
{
    struct batch_waiter *waiter;
    TAILQ_FOREACH(waiter, &b->waiting, link)
    waiter->index = MARKED;
    while ((waiter = TAILQ_FIRST(&b->waiting)) && waiter->index == MARKED) {
        waiter->index = 0;
        tell(b, waiter, status, NULL);
    }
}

static void expire_list(struct batch *b, struct batch_list *list, uint64_t now_ms)
{
    struct batch_waiter *waiter;
    while ((waiter = TAILQ_FIRST(list)) && waiter->deadline_ms <= now_ms)
        tell(b, waiter, UV_ETIMEDOUT, NULL);
}

void batch_expire(struct batch *b, uint64_t now_ms)
{
    expire_list(b, &b->flight, now_ms);
    expire_list(b, &b->waiting, now_ms);
}

/* Those in flight joined before those who wait. */
uint64_t batch_next_deadline(const struct batch *b)
{
    const struct batch_waiter *first = TAILQ_FIRST(&b->flight);
    if (!first)
        first = TAILQ_FIRST(&b->waiting);
    return first ? first->deadline_ms : UINT64_MAX;
}
