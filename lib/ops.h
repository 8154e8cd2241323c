/* What each service has for its operators: /healthz, /readyz, /version, /metrics, and the log's
 * lines about requests. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct http_outcome;
struct http_request;
struct metrics;
struct worker;

enum { OPS_DEPENDENCIES = 2 };

struct ops_dependency {
    const char *name; /* static */
    bool up;
};

/* DESIGN. A service's worker state is also the context of its handlers and MUST begin with a struct
 * ops: the handlers below find everything in it, and a scrape finds those of the other workers
 * through worker_all. The route rows go into the service's own table. */
struct ops {
    const char *service; /* borrowed: tally-backend */
    const char *version; /* borrowed: RELEASE, or "" for the revision */
    struct worker *worker;
    struct metrics *metrics;
    bool log_requests; /* all, not only those that failed or were degraded */
    /* What the worker depends on now; the number of entries filled in. */
    size_t (*on_dependencies)(const void *state, struct ops_dependency ret_list[OPS_DEPENDENCIES]);
    /* Readiness is no word on stores that others share. But who is new and has not reached them yet
     * would fail where its elders do not: for so long it may be told to wait, with a limit. */
    uint64_t ready_at_ms;  /* uv_now(); ready then, whole or not */
    atomic_bool was_whole; /* all that it depends on was up, once; ops_turn sets it */
};

#define OPS_TEXT "text/plain; charset=utf-8"
#define OPS_METRICS_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define OPS_ROUTES                                                                                 \
    {.path = "/healthz", .on_get = ops_get_healthz, .content_type = OPS_TEXT},                     \
        {.path = "/readyz", .on_get = ops_get_readyz, .content_type = OPS_TEXT},                   \
        {.path = "/version", .on_get = ops_get_version, .content_type = "application/json"},       \
    {                                                                                              \
        .path = "/metrics", .on_get = ops_get_metrics, .content_type = OPS_METRICS_TEXT            \
    }

/* 200 while the loop turns; depends on nothing. */
void ops_get_healthz(struct http_request *req, void *state);
/* 200, or 503 while draining or, until ready_at_ms, while a worker was never whole; says nothing of
 * stores unless asked with ?verbose. */
void ops_get_readyz(struct http_request *req, void *state);
/* {"service":…,"version":…,"revision":…,"tree":…} */
void ops_get_version(struct http_request *req, void *state);
/* All workers' metrics, the server's and the process's, as Prometheus text. */
void ops_get_metrics(struct http_request *req, void *state);

/* For worker_hooks.on_turn: notes that the worker is whole. */
void ops_turn(struct ops *ops);

/* For http_options.on_done: logs a request with its ids. */
void ops_log_request(const struct http_outcome *outcome, void *state);
/* For http_options.on_library_message. */
void ops_log_library_message(const char *text, void *state);

/* RELEASE where it is set, else the revision of the build. */
const char *ops_version(const char *release);
