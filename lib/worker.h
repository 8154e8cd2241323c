/* Worker threads with one loop each: the loop turn, signals, drain, join. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>
#include "lib/must.h"

struct http;
struct http_options;
struct worker;

/* DESIGN. What a service gives: how to make one worker's clients, what to flush each turn, how to
 * settle and close them. All hooks run on the worker's thread. Leaving (SIGTERM, SIGINT): drain
 * (Connection: close; readyz 503) -> drain_delay_ms, still accepting -> quiesce -> until idle or
 * drain_timeout_ms -> on_settle until it returns true or the rest of the time-out -> http_free,
 * on_stop -> uv_loop_close() == 0. */
struct worker_hooks {
    /* Makes the worker's state and the part of http_options that the service decides (routes,
     * context, csp, on_done). */
    MUST_USE int (*on_start)(struct worker *worker, void *service, struct http_options *http,
                             void **ret_state);
    void (*on_turn)(void *state); /* flush batches */
    bool (*on_settle)(
        void *state);             /* leaving, each turn: true when no batch is in flight any more */
    void (*on_stop)(void *state); /* closes handles; runs before the loop's last turns */
    void (*on_free)(void *state); /* all handles are closed */
    void (*on_drain)(
        void *service); /* once, on the main thread, when the signal came; for the log */
};

struct worker_options {
    unsigned workers;
    const char *listen_address;
    int port;
    unsigned max_connections; /* a process; divided among the workers */
    unsigned connection_timeout_s;
    unsigned drain_delay_ms, drain_timeout_ms;
    const struct worker_hooks *hooks;
    void *service;
};

/* Binds, listens, runs the workers until a signal has come and all have left; blocks. 0; or a
 * negative UV_E… when it could not start (then ret_reason says in a sentence what could not be
 * done; the caller frees it). */
MUST_USE int worker_run_all(const struct worker_options *options, char **ret_reason);

uv_loop_t *worker_loop(struct worker *worker);
unsigned worker_index(const struct worker *worker);
struct http *worker_http(struct worker *worker);
bool worker_is_draining(const struct worker *worker); /* any thread */
/* All workers of the process, for a scrape, in the order of their indices; *ret_count of them. */
struct worker *const *worker_all(const struct worker *worker, size_t *ret_count);
void *worker_state(const struct worker *worker);
