/* HTTP GET on the loop, one URL, keep-alive. Hides libcurl. */
#pragma once

#include <stddef.h>
#include <uv.h>
#include "lib/must.h"

struct fetch;

struct fetch_options {
    uv_loop_t *loop;     /* borrowed */
    const char *url;     /* copied */
    unsigned timeout_ms; /* of a whole GET, connecting included */
    size_t max_body;     /* a longer answer is UV_E2BIG */
};

/* status 0 only for an HTTP 200 whose body is whole; else UV_ETIMEDOUT, UV_ECONNREFUSED,
 * UV_ECONNRESET, UV_EAI_FAIL, UV_EPROTO (not 200, not HTTP), UV_E2BIG, UV_ECANCELED, with reason in
 * words. The body is borrowed for the call. Never inside fetch_get. */
typedef void (*fetch_on_done)(void *arg, int status, const char *body, size_t length,
                              const char *reason);

/* Call once in main before any thread, and after the last. */
void fetch_library_init(void);
void fetch_library_done(void);

MUST_USE int fetch_new(const struct fetch_options *options, struct fetch **ret_fetch);
/* A GET in flight ends with UV_ECANCELED. Memory goes when the loop has closed its handles. */
void fetch_free(struct fetch *f);
/* One GET at a time: UV_EBUSY while one is in flight. request_id and traceparent are sent along;
 * NULL: not. */
MUST_USE int fetch_get(struct fetch *f, const char *request_id, const char *traceparent,
                       fetch_on_done on_done, void *arg);
