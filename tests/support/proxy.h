/* A TCP proxy that misbehaves on demand: between a service under test and what it depends on. */
#pragma once

#include <stddef.h>

/* DESIGN. Each connection has a thread of its own that carries bytes both ways. What the proxy does
 * wrong it does to the answers, but for PROXY_CUT_REQUEST. Offsets count the bytes from the moment
 * the fault was ordered, all connections together. Faults marked "once" happen once and are over;
 * the others last until the next order. */
enum proxy_fault {
    PROXY_PASS,        /* does nothing wrong */
    PROXY_DELAY,       /* answers come `ms` later */
    PROXY_TRICKLE,     /* answers come byte by byte, `ms` between them */
    PROXY_HOLD,        /* answers do not come at all */
    PROXY_CUT,         /* once: both sides are reset before byte `at` of the answers */
    PROXY_CUT_REQUEST, /* once: the same before byte `at` of the requests */
    PROXY_GARBLE,      /* once: byte `at` of the answers is another one */
    PROXY_REPLACE      /* once: what comes next from the server is thrown away for `text` */
};

struct proxy_order {
    enum proxy_fault fault;
    size_t at;
    unsigned ms;
    const char *text; /* a literal */
};

struct proxy;

/* Listens on 127.0.0.1; carries to 127.0.0.1:target. */
struct proxy *proxy_new(int target);
/* The same at another address of this machine; port 0: any. */
struct proxy *proxy_new_at(const char *address, int port, int target);
/* Hangs up and frees. NULL is fine. */
void proxy_free(struct proxy *p);
int proxy_port(const struct proxy *p);
/* From now on; those who are connected stay where they are until they are cut off. */
void proxy_order(struct proxy *p, struct proxy_order order);
/* New connections lead there. */
void proxy_point_to(struct proxy *p, int target);
/* Resets every connection. */
void proxy_cut_all(struct proxy *p);
/* How many faults marked "once" have happened. */
unsigned proxy_faults(struct proxy *p);
/* The last request that was carried, as long as it came in one piece; the caller frees it. NULL:
 * none yet. */
char *proxy_last_request(struct proxy *p, size_t *ret_length);
