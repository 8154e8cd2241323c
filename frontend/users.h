/* The users, read from the backend: one fetch answers every page that waits for it. */
#pragma once

#include <stdbool.h>
#include <uv.h>
#include "lib/batch.h"
#include "lib/must.h"

struct http_request;
struct metrics;
struct user_list;
struct users;

struct users_options {
    uv_loop_t *loop; /* borrowed */
    const char *url; /* copied */
    unsigned timeout_ms;
    unsigned max_waiting;
    unsigned probe_ms;       /* between questions while the backend is down */
    struct metrics *metrics; /* borrowed; the frontend's table */
};

/* A fetch goes out under the ids of the first request that waits for it. */
struct users_waiter {
    struct batch_waiter base;
    struct http_request *request; /* borrowed while it waits; NULL: nobody's */
};

MUST_USE int users_new(const struct users_options *options, struct users **ret_users);
/* Nobody may wait any more. Memory goes when the loop has closed the handles. */
void users_free(struct users *u);
/* Joins the next fetch, never one in flight. base.on_done gets status 0 and users_result(result);
 * UV_ENOBUFS when full: then on_done is never called. */
MUST_USE int users_join(struct users *u, struct users_waiter *waiter);
void users_leave(struct users *u, struct users_waiter *waiter);
/* The list, with a reference of the caller's own. */
struct user_list *users_result(const void *result);
/* Sends what waits; once a turn. `numbers_wait`: visits wait for a script call that has not
 * started, and the fetch for their pages is held back for it. */
void users_flush(struct users *u, bool numbers_wait);
bool users_is_up(const struct users *u);
