/* The addresses of a Redis server's host, looked up on libuv's thread pool. */
#include "lib/redis_lookup.h"
#include "lib/url.h"
#include <netdb.h>
#include <stdio.h>

enum { DEFAULT_PORT = 6379 };

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct redis_lookup *lookup = request->data;
    lookup->running = false;
    redis_lookup_done(lookup);
    lookup->addresses = addresses;
    lookup->on_done(lookup, status);
}

int redis_lookup_start(struct redis_lookup *lookup, uv_loop_t *loop, const struct url *url)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[16];
    if (lookup->running)
        return 0;
    snprintf(port, sizeof port, "%d", url->port ? url->port : DEFAULT_PORT);
    lookup->request.data = lookup;
    int error = uv_getaddrinfo(loop, &lookup->request, on_looked_up, url->host, port, &hints);
    lookup->running = error == 0;
    return error;
}

void redis_lookup_cancel(struct redis_lookup *lookup)
{
    if (lookup->running) /* one that has begun cannot be stopped */
        uv_cancel((uv_req_t *)&lookup->request);
}

const struct sockaddr *redis_lookup_address(const struct redis_lookup *lookup)
{
    unsigned count = 0;
    const struct addrinfo *address;
    for (address = lookup->addresses; address; address = address->ai_next)
        count++;
    MUST(count > 0);
    address = lookup->addresses;
    for (unsigned i = lookup->turn % count; i > 0; i--)
        address = address->ai_next;
    return address->ai_addr;
}

void redis_lookup_done(struct redis_lookup *lookup)
{
    uv_freeaddrinfo(lookup->addresses);
    lookup->addresses = NULL;
}
