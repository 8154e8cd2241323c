/* TLS towards Redis: who is trusted, and for which name. Only lib/redis*.c use it. */
#pragma once

/* hiredis can carry TLS since 1.0, in a library of its own. */
#if __has_include(<hiredis/hiredis_ssl.h>) && __has_include(<openssl/ssl.h>)
#define TALLY_REDIS_TLS 1
#else
#define TALLY_REDIS_TLS 0
#endif

#include <stdbool.h>
#include "lib/must.h"

struct redis_tls;
struct redisContext;
struct ssl_st;

/* ca_file: PEM file of trusted CAs; NULL or "": the system's. NULL, with *ret_reason a sentence,
 * when it cannot be read, or TLS is not in this build. */
MUST_USE struct redis_tls *redis_tls_new(const char *ca_file, const char **ret_reason);
void redis_tls_free(struct redis_tls *tls); /* NULL is fine */

/* One connection's TLS, which accepts nobody but `host` (a name or an address). redis_tls_start
 * hands it to the connection, which frees it; before that redis_tls_discard does. */
struct ssl_st *redis_tls_session(struct redis_tls *tls, const char *host);
void redis_tls_discard(struct ssl_st *ssl); /* NULL is fine */
/* 0, or -1: then it is still the caller's. */
MUST_USE int redis_tls_start(struct ssl_st *ssl, struct redisContext *connection);
/* Writing goes on when something was read. */
bool redis_tls_wants_read(const struct ssl_st *ssl);
/* Why TLS failed, in words that live for ever; NULL: it did not. */
const char *redis_tls_failure(const struct ssl_st *ssl);
