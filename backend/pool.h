/* A worker's connections to the database: each does one blocking job at a time on libuv's threads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "lib/must.h"

struct database;
struct metrics;
struct pool;
struct store;

/* DESIGN. A slot is FREE (on the free list, with or without a connection) or BUSY (its job is on a
 * thread). Slots with a connection are taken first, the one used last before the others. A job on
 * a connection that died while it lay idle gets a new connection and runs once more in the same
 * work item. After a connect has failed no other is tried for 100 ms to 1.6 s, growing, with
 * jitter: meanwhile jobs are refused at once. There is no queue: whoever owns the pool batches. */
struct pool_job {
    /* On a thread. 0 or a failure of the store with its reason. May run twice. */
    int (*run)(struct pool_job *job, struct store *store, char *reason);
    /* On the loop, exactly once, never before pool_run has returned. */
    void (*on_done)(struct pool_job *job, int status, const char *reason);
};

struct pool_options {
    uv_loop_t *loop;                 /* borrowed */
    const struct database *database; /* borrowed */
    unsigned size;
    unsigned timeout_s;      /* of connecting, reading and writing each */
    struct metrics *metrics; /* borrowed; outlives the pool */
};

struct pool *pool_new(const struct pool_options *options);
/* Jobs on their threads still end with on_done, within the library's time-outs; their connections
 * are closed then, the others now. */
void pool_free(struct pool *p);

/* UV_EBUSY when no slot is free, UV_ENOTCONN while no connect may be tried: then on_done is never
 * called. */
MUST_USE int pool_run(struct pool *p, struct pool_job *job);
/* 0, or what pool_run would refuse with now. */
int pool_check(const struct pool *p);
/* uv_now() milliseconds of the next connect; in the past when one may be tried now. */
uint64_t pool_retry_at_ms(const struct pool *p);
unsigned pool_busy(const struct pool *p);
