/* The addresses of a Redis server's host. Only lib/redis.c uses it. */
#pragma once

#include <stdbool.h>
#include <uv.h>
#include "lib/must.h"

struct addrinfo;
struct sockaddr;
struct url;

/* All zero but on_done is ready for use. It may take longer than an attempt to connect; the next
 * attempt then waits for the same one: there are never two. */
struct redis_lookup {
    uv_getaddrinfo_t request;
    struct addrinfo *addresses; /* of the last one that ended; NULL: it failed */
    unsigned turn;              /* chooses among them */
    bool running;
    void (*on_done)(struct redis_lookup *lookup, int status);
};

/* on_done comes later. 0 also while one is running. */
MUST_USE int redis_lookup_start(struct redis_lookup *lookup, uv_loop_t *loop,
                                const struct url *url);
/* Asks it to end; on_done comes sooner or later. */
void redis_lookup_cancel(struct redis_lookup *lookup);
/* After success: the address whose turn it is. */
const struct sockaddr *redis_lookup_address(const struct redis_lookup *lookup);
/* It is not running. */
void redis_lookup_done(struct redis_lookup *lookup);
