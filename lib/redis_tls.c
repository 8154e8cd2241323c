/* TLS towards Redis: who is trusted, and for which name. */
#include "lib/redis_tls.h"
#include "lib/mem.h"
#include <stddef.h>

#if TALLY_REDIS_TLS
#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct redis_tls {
    SSL_CTX *context;
};

struct redis_tls *redis_tls_new(const char *ca_file, const char **ret_reason)
{
    bool own_ca = ca_file && *ca_file;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    MUST(context); /* out of memory */
    int good = own_ca ? SSL_CTX_load_verify_locations(context, ca_file, NULL)
                      : SSL_CTX_set_default_verify_paths(context);
    ERR_clear_error();
    if (!good || !SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION)) {
        SSL_CTX_free(context);
        *ret_reason = own_ca ? "no trusted CA could be read from the CA file"
                             : "the system's trusted CAs could not be read";
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    /* What could not be written is tried again from a buffer that may have grown and moved. */
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
    struct redis_tls *tls = xcalloc(1, sizeof *tls);
    tls->context = context;
    return tls;
}

void redis_tls_free(struct redis_tls *tls)
{
    if (tls)
        SSL_CTX_free(tls->context);
    free(tls);
}

struct ssl_st *redis_tls_session(struct redis_tls *tls, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    SSL *ssl = SSL_new(tls->context);
    MUST(ssl); /* out of memory */
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address)
        MUST(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1);
    else
        MUST(SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1);
    return ssl;
}

void redis_tls_discard(struct ssl_st *ssl)
{
    SSL_free(ssl);
}

int redis_tls_start(struct ssl_st *ssl, struct redisContext *connection)
{
    ERR_clear_error();
    int result = redisInitiateSSL(connection, ssl);
    ERR_clear_error();
    return result == REDIS_OK ? 0 : -1;
}

bool redis_tls_wants_read(const struct ssl_st *ssl)
{
    return SSL_want_read(ssl);
}

const char *redis_tls_failure(const struct ssl_st *ssl)
{
    long verified = SSL_get_verify_result(ssl);
    if (verified != X509_V_OK)
        return X509_verify_cert_error_string(verified);
    return SSL_is_init_finished(ssl) ? NULL : "the TLS handshake failed";
}

#else

struct redis_tls *redis_tls_new(const char *ca_file, const char **ret_reason)
{
    (void)ca_file;
    *ret_reason = "TLS to Redis is not in this build: it needs hiredis 1.0 or later";
    return NULL;
}

void redis_tls_free(struct redis_tls *tls)
{
    MUST(!tls);
}

struct ssl_st *redis_tls_session(struct redis_tls *tls, const char *host)
{
    (void)tls, (void)host;
    NEVER("no TLS in this build");
}

void redis_tls_discard(struct ssl_st *ssl)
{
    MUST(!ssl);
}

int redis_tls_start(struct ssl_st *ssl, struct redisContext *connection)
{
    (void)ssl, (void)connection;
    NEVER("no TLS in this build");
}

bool redis_tls_wants_read(const struct ssl_st *ssl)
{
    (void)ssl;
    NEVER("no TLS in this build");
}

const char *redis_tls_failure(const struct ssl_st *ssl)
{
    (void)ssl;
    NEVER("no TLS in this build");
}
#endif
