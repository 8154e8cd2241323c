/* What the parts of lib/http share: the server and its requests. Nobody else includes this. */
#pragma once

#include <microhttpd.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include "lib/http.h"

enum {
    URI_LIMIT = 2048,
    HEADER_LIMIT = 8192,       /* names and values of one request together */
    CONNECTION_MEMORY = 10240, /* header fields of the request and of the answer */
    REQUEST_ID_ROOM = 16 + 1,  /* an id that we make */
    TRACEPARENT_ROOM = 55 + 1, /* 00-<32>-<16>-<2> */
};

enum http_method { METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_OTHER, METHOD_COUNT };

enum http_limit {
    LIMIT_MAX_CONNECTIONS,
    LIMIT_HEADER_BYTES,
    LIMIT_URI_BYTES,
    LIMIT_BODY_BYTES,
    LIMIT_COUNT
};

/* The header fields that are looked at, gathered in one pass over the request. */
enum http_field {
    FIELD_ACCEPT,
    FIELD_CONTENT_LENGTH,
    FIELD_HOST,
    FIELD_PURPOSE,
    FIELD_REQUEST_ID,
    FIELD_SEC_PURPOSE,
    FIELD_TRACEPARENT,
    FIELD_TRANSFER_ENCODING,
    FIELD_X_MOZ,
    FIELD_COUNT
};

struct http_fields {
    const char *value[FIELD_COUNT]; /* the first of each; NULL when absent */
    uint8_t times[FIELD_COUNT];     /* 0, 1, or 2 for more */
    bool odd_name;                  /* "Name :" hides a field from us that a proxy may read */
    size_t bytes;                   /* all fields' names and values, also those not listed here */
};

/* Where a request is on its way. */
enum http_place {
    REQUEST_READ,     /* its header fields are here; nobody was asked yet */
    REQUEST_ASKED,    /* the handler owes an answer; libmicrohttpd calls again at every run */
    REQUEST_PARKED,   /* the handler owes an answer; the connection is suspended */
    REQUEST_ANSWERED, /* the response is made; libmicrohttpd has yet to call for it */
    REQUEST_QUEUED,   /* libmicrohttpd has the response and sends it */
    REQUEST_GONE      /* the client vanished; the handler was told */
};

struct http_request {
    struct http *http;                 /* borrowed: outlives its requests */
    struct MHD_Connection *connection; /* borrowed */
    const struct http_route *route;    /* NULL: none has this path */
    struct MHD_Response *response;     /* ours while REQUEST_ANSWERED */
    struct http_kept *kept;            /* that response's, to be given back; or NULL */
    TAILQ_ENTRY(http_request) link;    /* in http->requests, or in http->free */
    const char *method_text, *path;    /* borrowed: libmicrohttpd keeps them with the request */
    const char *degraded;
    uint64_t arrived_ns, asked_ms;
    enum http_place place;
    enum http_method method;
    int status;
    struct http_fields fields;
    const char *request_id; /* the client's, or id; NULL until it is asked for */
    char id[REQUEST_ID_ROOM];
    char traceparent[TRACEPARENT_ROOM]; /* empty until it is asked for */
    alignas(max_align_t) unsigned char state[];
};

TAILQ_HEAD(http_requests, http_request);
TAILQ_HEAD(http_kept_list, http_kept);

struct http {
    struct http_options options;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;  /* libmicrohttpd's epoll descriptor */
    uv_timer_t wake; /* what MHD_get_timeout asks for */
    unsigned open_handles;
    bool run_wanted;    /* something happened that the next MHD_run acts upon */
    bool wakes_waiters; /* wake runs, if at all, for requests that wait unsuspended */
    bool draining, quiesced;
    struct http_requests requests; /* from the header fields to the end of the answer */
    struct http_requests free;     /* for reuse; never more than there were connections */
    struct http_kept_list kept;    /* responses that wait for the next answer */
    unsigned kept_count;
    uint64_t now_ms, spoke_ms; /* of this turn; when a client was last heard of */
    uint64_t random;
    size_t request_size, route_count;
    _Atomic unsigned waiting, connections;
    unsigned parked;
    _Atomic uint64_t limit_hits[LIMIT_COUNT];
    struct histogram *_Atomic *series; /* [route][method][status], made when first needed */
};

/* http_request.c: what libmicrohttpd calls for a request. */
void *http_on_uri(void *http, const char *uri, struct MHD_Connection *connection);
enum MHD_Result http_on_request(void *http, struct MHD_Connection *connection, const char *path,
                                const char *method, const char *version, const char *upload_data,
                                size_t *upload_size, void **context);
void http_on_completed(void *http, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code);
/* Tells the handler that nobody waits for its answer any more. */
void http_request_vanish(struct http_request *req);

/* http_reply.c */
/* HEAD and OPTIONS of a route, without its handler. */
void http_reply_head(struct http_request *req);
void http_reply_options(struct http_request *req);
/* An error after which the connection must not be used again. */
void http_reply_refusal(struct http_request *req, int status, const char *detail);
void http_put_field(struct MHD_Response *response, const char *name, const char *value);
/* What is the same in each answer of a route. */
void http_put_constant_fields(const struct http_request *req, struct MHD_Response *response);

/* http_kept.c: responses that are used again. */
/* The whole response; NULL where the reply is none of the plain kind. */
struct MHD_Response *http_kept_response(struct http_request *req, const struct http_reply *reply);
void http_kept_give_back(struct http_request *req);
/* After the daemon has stopped. */
void http_kept_free(struct http *http);

/* http_metrics.c */
void http_metrics_init(struct http *http);
void http_metrics_done(struct http *http);
void http_metrics_observe(struct http *http, const struct http_request *req, uint64_t duration_ns);
bool http_status_is_known(int status);

/* One writer, its worker: a plain load and store, no locked instruction. */
static inline void http_count_limit(struct http *http, enum http_limit limit)
{
    uint64_t n = atomic_load_explicit(&http->limit_hits[limit], memory_order_relaxed);
    atomic_store_explicit(&http->limit_hits[limit], n + 1, memory_order_relaxed);
}

static inline void http_adjust(_Atomic unsigned *gauge, int by)
{
    unsigned n = atomic_load_explicit(gauge, memory_order_relaxed);
    atomic_store_explicit(gauge, n + (unsigned)by, memory_order_relaxed);
}

uint64_t http_random(struct http *http);
