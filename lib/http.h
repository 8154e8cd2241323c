/* The HTTP server of one worker: routes, waiting requests, limits, drain. Hides libmicrohttpd. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include "lib/must.h"

struct buf;
struct http;
struct http_request;

enum { HTTP_PARK_AFTER_MS = 5 };

/* DESIGN. A handler is called once a GET, after the request is complete, and calls http_reply
 * exactly once, now or later on the same loop. Until then the request waits: its handler state
 * (route->state_size zeroed bytes, living as long as the request) may hold intrusive waiters. When
 * a waiting request vanishes (client gone), on_gone is called once instead, and http_reply must not
 * be. After http_reply neither is. The server itself answers: HEAD of a route (GET's header fields
 * without Content-Length, no handler), OPTIONS (204, Allow), 404, 405 with Allow, 400, 413, 414,
 * 431; each as problem+json or a small page, after Accept. It adds to each answer
 * X-Request-Id, X-Content-Type-Options, Content-Security-Policy, Cache-Control: no-store, and while
 * draining Connection: close. */
struct http_route {
    const char *path; /* exact; also the label in metrics */
    void (*on_get)(struct http_request *req, void *context);
    void (*on_gone)(struct http_request *req,
                    void *context); /* NULL when the handler always replies at once */
    size_t state_size;
    const char *content_type; /* what HEAD says */
    bool negotiated; /* HTML or JSON after Accept: the answer says Vary: Accept, HEAD the preferred
                        type */
};

/* What is said of a finished request, for logs; all is borrowed for the call. */
struct http_outcome {
    struct http_request *request; /* for its ids */
    const char *method, *path;
    const char *degraded; /* why, as given in the reply; NULL: not */
    int status;
    uint64_t duration_ns;
};

struct http_options {
    uv_loop_t *loop;                 /* borrowed */
    int listen_fd;                   /* borrowed: the server makes its own dup */
    const struct http_route *routes; /* borrowed, ended by a row without path */
    void *context;                   /* given to the handlers */
    const char *csp;                 /* Content-Security-Policy of every answer; borrowed */
    const char *error_head; /* more HTML for the <head> of error pages, or NULL; borrowed */
    unsigned max_connections;
    unsigned connection_timeout_s;
    /* A waiting request's connection stays with libmicrohttpd for this long (no system call, but
     * 0.1 us at every run), then it is suspended (two epoll_ctl and a failed recv, then free of
     * cost). 0 suspends at once: 6.4 us of CPU a request instead of 5.1, where a constant answer
     * takes 4.1. */
    unsigned park_after_ms;
    void (*on_done)(const struct http_outcome *outcome, void *context); /* may be NULL */
    void (*on_library_message)(const char *text,
                               void *context); /* what libmicrohttpd complains of; may be NULL */
};

MUST_USE int http_new(const struct http_options *options, struct http **ret_http);

/* One turn's share, from the worker's prepare callback, in this order: run the server while it
 * makes progress; the worker then flushes its batches; then arm the wake-up. */
void http_run(struct http *http);
void http_arm(struct http *http);

/* Draining: answers carry Connection: close, still accepting. */
void http_drain(struct http *http);
/* Stops accepting after taking what the accept queue holds. */
void http_quiesce(struct http *http);
/* True when nobody waits for an answer and no connection spoke for a moment (or none is open). */
bool http_is_idle(const struct http *http);
/* Closes all connections (every waiting request gets on_gone first) and its handles, and frees
 * itself when the loop has closed them. */
void http_free(struct http *http);

/* Requests. Texts live as long as the request. */
void *http_state(struct http_request *req);
struct http_request *http_request_of(void *state);
const char *http_header(struct http_request *req, const char *name);  /* NULL when absent */
bool http_has_query_flag(struct http_request *req, const char *name); /* ?name or ?name=… */
bool http_wants_json(struct http_request *req);  /* Accept prefers application/json to text/html */
bool http_is_prefetch(struct http_request *req); /* Sec-Purpose, Purpose or X-Moz */
/* Both are taken over where the client gave a valid one, else made when first asked for. */
const char *http_request_id(struct http_request *req);
const char *http_traceparent(struct http_request *req);

struct http_reply {
    int status;
    const char *content_type; /* a constant: it is kept for later answers */
    const char *body;         /* borrowed for the call; NULL: none */
    size_t length;
    const char *field, *value; /* one more header field, or NULL; copied */
    unsigned retry_after_s;    /* 0: none */
    const char *degraded;      /* a static word for logs and metrics, or NULL */
};

void http_reply(struct http_request *req, const struct http_reply *reply);
/* An error as problem+json or a small page, after Accept. `detail` is a sentence for the client;
 * copied. 503 gets Retry-After: 1. */
void http_reply_error(struct http_request *req, int status, const char *detail);

unsigned http_waiting(const struct http *http);
/* Appends tally_http_request_duration_seconds{method,route,status}, tally_http_requests_waiting,
 * tally_http_connections and tally_limit_hits_total{limit="max_connections"} and so on, `count`
 * servers added up. Any thread. */
void http_write_metrics(struct buf *out, struct http *const *servers, size_t count);
