/* A Redis client on the loop that reconnects by itself. Hides hiredis. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include "lib/must.h"

struct redis;
struct url;
struct buf;

/* CLOSED     no connection; a timer will try again after a back-off of 100 ms to 1.6 s with jitter
 * CONNECTING name look-up, TCP, TLS, AUTH, SELECT, PING, then the owner's greeting
 * READY      calls are taken */
enum redis_state { REDIS_CLOSED, REDIS_CONNECTING, REDIS_READY };

enum redis_kind { REDIS_NIL, REDIS_INTEGER, REDIS_TEXT, REDIS_ERROR, REDIS_ARRAY };

/* A reply, borrowed for the duration of the callback. */
struct redis_value {
    enum redis_kind kind;
    int64_t integer;
    const char *text; /* REDIS_TEXT, REDIS_ERROR; NUL-terminated */
    size_t length;
    const struct redis_value *items; /* REDIS_ARRAY: at most 8, deeper ones are nil */
    size_t count;
};

/* Exactly once a call, never before the submitting call has returned. status 0 and a value (a
 * REDIS_ERROR reply too), or UV_ETIMEDOUT, UV_ECONNRESET, UV_EPROTO, UV_ECANCELED with NULL: then
 * nobody knows whether the call was applied. */
typedef void (*redis_on_reply)(void *arg, int status, const struct redis_value *value);

struct redis_options {
    uv_loop_t *loop;       /* borrowed */
    const struct url *url; /* borrowed; redis or rediss */
    const char *ca_file;   /* rediss: PEM file of trusted CAs, or NULL or "": the system's */
    unsigned timeout_ms;   /* of each call, and of connecting as a whole */
    void *context;
    /* Sends the owner's first call with redis_greet (optional). READY follows when its reply
     * callback has called redis_accept. */
    void (*on_greet)(struct redis *r, void *context);
    /* On each change; reason says why, for logs: no secret in it. After CLOSED all calls' callbacks
     * have run. */
    void (*on_state)(struct redis *r, enum redis_state state, const char *reason, void *context);
};

/* NULL, or a sentence that says why this URL cannot be used (scheme, database number, TLS not in
 * this build). */
MUST_USE const char *redis_check_url(const struct url *url);

/* Starts to connect on the next turn; a server that is away is no error. UV_EINVAL where
 * redis_check_url objects. The process MUST ignore SIGPIPE: hiredis writes without
 * MSG_NOSIGNAL. */
MUST_USE int redis_new(const struct redis_options *options, struct redis **ret_redis);
/* Callbacks of calls in flight run with UV_ECANCELED, on_state no more. Memory goes when the loop
 * has closed its handles. */
void redis_free(struct redis *r);

enum redis_state redis_state(const struct redis *r);
/* UV_ENOTCONN when not READY (nothing is queued across connections). The arguments are copied. */
MUST_USE int redis_call(struct redis *r, redis_on_reply on_reply, void *arg, size_t argc,
                        const char *const *argv, const size_t *lengths);
/* Like redis_call, only inside on_greet. */
MUST_USE int redis_greet(struct redis *r, redis_on_reply on_reply, void *arg, size_t argc,
                         const char *const *argv, const size_t *lengths);
/* Inside the greeting's reply: the client becomes READY. */
void redis_accept(struct redis *r);
/* This connection is of no use (READONLY, LOADING, OOM …): closes it and connects anew after a
 * back-off, which keeps growing until redis_call succeeds without an error reply. Inside a reply
 * callback it takes effect after the callback. */
void redis_reset(struct redis *r, const char *reason);
