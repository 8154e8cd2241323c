/* Batching by flight time: one call in flight, everybody else waits for the next. No I/O, no
 * allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "lib/must.h"

/* DESIGN. A waiter is embedded in its request. It joins `waiting`; batch_start moves all of them
 * into flight, numbers them 0…n-1 and freezes n; batch_finish hands the result to those still
 * there. A waiter that leaves, or whose time runs out, frees nothing of the call: n and the others'
 * indices stay. All wait equally long, so both lists are in the order of their deadlines. on_done
 * runs exactly once for each waiter that has not left, never inside batch_join, and may join or
 * leave this batch. Times are uv_now() milliseconds. */
struct batch_waiter {
    TAILQ_ENTRY(batch_waiter) link;
    /* status 0 and the waiter's index among the n of its call with the caller's result, or a
     * negative UV_E… with NULL: UV_ETIMEDOUT when its time ran out. The result is borrowed for the
     * duration of the call. */
    void (*on_done)(struct batch_waiter *waiter, int status, uint64_t index, const void *result);
    uint64_t deadline_ms;
    uint64_t index;
    enum { BATCH_OUTSIDE, BATCH_WAITING, BATCH_IN_FLIGHT } place;
};

TAILQ_HEAD(batch_list, batch_waiter);

struct batch {
    struct batch_list waiting;
    struct batch_list flight;
    size_t waiting_count, flight_count; /* waiters present in each list */
    size_t limit;                       /* of both together */
    uint64_t timeout_ms;
    uint64_t sent;          /* n of the call in flight, frozen; 0: none */
    uint64_t last;          /* n of the latest call */
    uint64_t held_since_ns; /* 0: nobody is held back */
};

void batch_init(struct batch *b, size_t limit, uint64_t timeout_ms);
/* 0, or UV_ENOBUFS when `limit` waiters are there (then nothing is kept and on_done is never
 * called). */
MUST_USE int batch_join(struct batch *b, struct batch_waiter *waiter, uint64_t now_ms);
/* The waiter wants no answer any more. Harmless when it is not in the batch. */
void batch_leave(struct batch *b, struct batch_waiter *waiter);
/* True while a call that could start is better held back for a moment: keep-alive clients that were
 * answered together come back together, and a call that leaves with the first of them makes the
 * others wait for it. Never longer than GATHER_NS, and not at all once as many wait as travelled
 * last time: one who comes alone after another who came alone is not held. The owner MUST look
 * again within a millisecond or so. Times are uv_hrtime(). */
bool batch_gathers(struct batch *b, uint64_t now_ns);
/* True while a call that could start is better held back because those who wait for it wait for
 * something slower too, whose own call has not even started: then this one would bring nobody an
 * answer earlier, and would leave without those who come until then. Never longer than FOLLOW_NS;
 * for a batch that does not gather. */
bool batch_follows(struct batch *b, bool slower_waits, uint64_t now_ns);
/* Puts everyone waiting into flight and returns n; 0 when a call is in flight or nobody waits. */
uint64_t batch_start(struct batch *b);
/* The call in flight ended: tells its waiters and forgets it. The next may start. */
void batch_finish(struct batch *b, int status, const void *result);
/* Tells everyone who waits for the next call, not those in flight. */
void batch_fail_waiting(struct batch *b, int status);
/* Tells all whose deadline has come UV_ETIMEDOUT. The call in flight stays in flight. */
void batch_expire(struct batch *b, uint64_t now_ms);
/* The next deadline, or UINT64_MAX when nobody waits. */
uint64_t batch_next_deadline(const struct batch *b);
