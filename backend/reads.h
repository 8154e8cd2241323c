/* Sharing reads: the batch between the requests and the database. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include "lib/batch.h"
#include "lib/must.h"

struct database;
struct metrics;
struct reads;

/* DESIGN. At most one read is in flight. Whoever comes meanwhile joins the next: what a request
 * shows was read after the request had come. A read that takes longer than the deadline is given
 * up: its connection stays busy until the library lets go, and the next read takes another one.
 * While the database is down, a read with nobody waiting asks now and then whether it is back; the
 * first one leaves at the start. */
struct reads_options {
    uv_loop_t *loop;                 /* borrowed */
    const struct database *database; /* borrowed */
    unsigned pool_size;
    unsigned timeout_s;   /* of waiting, and of each step of the library */
    unsigned max_waiting; /* requests */
    unsigned max_users;   /* of an answer */
    struct metrics *metrics;
    /* On each change, and on the first result; the reason is borrowed and holds no secret. */
    void (*on_state)(bool up, const char *reason, void *context);
    void *context;
};

struct reads *reads_new(const struct reads_options *options);
/* Nobody may wait any more. Memory goes when the loop has closed its handles and jobs have ended.
 */
void reads_free(struct reads *r);

/* on_done gets status 0 and reads_body(result). UV_ENOBUFS when full, UV_EBUSY or UV_ENOTCONN when
 * no connection can be had: then on_done is never called. */
MUST_USE int reads_join(struct reads *r, struct batch_waiter *waiter);
void reads_leave(struct reads *r, struct batch_waiter *waiter);
/* The JSON, borrowed for the call of on_done. */
const char *reads_body(const void *result, size_t *ret_length);
/* Sends what waits; once a turn. */
void reads_flush(struct reads *r);
/* True when no read is in flight, given up or not. */
bool reads_is_settled(const struct reads *r);
bool reads_is_up(const struct reads *r);
