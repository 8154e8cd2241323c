/* One connection to a Redis server: hiredis on libuv. Only lib/redis.c uses it. */
#pragma once

#include <stddef.h>
#include <uv.h>
#include "lib/must.h"

struct redis_link;
struct redis_value;
struct ssl_st;
struct sockaddr;

/* DESIGN. hiredis does the protocol and the reading and writing, on its plain non-blocking context;
 * the waiting is ours. Its asynchronous layer is not used: it aborts the process on a reply that
 * nobody asked for (an assertion, 0.14 to 1.2), and it frees contexts behind its user's back. */
struct redis_link_options {
    uv_loop_t *loop;                /* borrowed */
    const struct sockaddr *address; /* copied; IPv4 or IPv6 */
    struct ssl_st *ssl;             /* taken over, also on failure; NULL: no TLS */
    void *context;
    /* Connected: commands may be sent. With TLS they leave once the server's certificate passed. */
    void (*on_open)(void *context);
    /* The answer to the oldest command still unanswered. Borrowed. */
    void (*on_reply)(void *context, const struct redis_value *value);
    /* The link is of no use any more; the last call. UV_ECONNRESET, UV_EPROTO, or why there was no
     * connection. Owner calls redis_link_free. */
    void (*on_end)(void *context, int status, const char *reason);
};

/* No callback before this returns. Failure: a negative UV_E… and nothing is kept. */
MUST_USE int redis_link_new(const struct redis_link_options *options, struct redis_link **ret_link);
/* At once hung up, and no callback any more; also inside a callback. NULL is fine. */
void redis_link_free(struct redis_link *link);
/* Copies the command; what cannot be sent is told by on_end later. Only after on_open. */
void redis_link_send(struct redis_link *link, size_t argc, const char *const *argv,
                     const size_t *lengths);
