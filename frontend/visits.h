/* The visit counter in Redis: the one place that knows the script and the keys. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "lib/batch.h"
#include "lib/must.h"

struct metrics;
struct url;
struct visits;

struct visits_options {
    uv_loop_t *loop;       /* borrowed */
    const struct url *url; /* borrowed */
    const char *ca_file;
    unsigned timeout_ms;
    unsigned max_waiting;
    _Atomic int64_t *floor;  /* the process's highest number seen; shared by all workers */
    struct metrics *metrics; /* borrowed */
};

MUST_USE int visits_new(const struct visits_options *options, struct visits **ret_visits);
void visits_free(struct visits *v);
/* on_done gets status 0, and visits_number(index, result) is this visitor's own number.
 * UV_ENOTCONN at once while Redis is not READY, UV_ENOBUFS when full: then nothing is counted and
 * on_done is never called. Who comes before the first attempt to connect has ended waits for its
 * end: a service that has just replaced another turns nobody away for being new. */
MUST_USE int visits_join(struct visits *v, struct batch_waiter *waiter);
/* on_done gets status 0 and visits_total(result): the next read of the counter. Counts nothing. */
MUST_USE int visits_join_total(struct visits *v, struct batch_waiter *waiter);
void visits_leave(struct visits *v, struct batch_waiter *waiter);
void visits_leave_total(struct visits *v, struct batch_waiter *waiter);
int64_t visits_number(uint64_t index, const void *result);
int64_t visits_total(const void *result);
/* Sends what waits; once a turn. */
void visits_flush(struct visits *v);
/* True while visits wait for a call that has not started. */
bool visits_wait(const struct visits *v);
/* True when no batch is sent and unsettled. */
bool visits_is_settled(const struct visits *v);
bool visits_is_up(const struct visits *v);
