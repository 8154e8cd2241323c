/* A real redis-server of a test's own. */
#include "tests/support/real_redis.h"
#include "lib/mem.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { START_MS = 15000 };

void real_redis_start(struct real_redis *r)
{
    char port[16];
    snprintf(port, sizeof port, "%d", r->port);
    const char *plain = r->certificate ? "0" : port;
    const char *const argv[] = {
        "redis-server",
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--dir",
        r->directory,
        "--port",
        plain,
        r->certificate ? "--tls-port" : NULL,
        port,
        "--tls-cert-file",
        r->certificate,
        "--tls-key-file",
        r->key,
        "--tls-ca-cert-file",
        r->certificate,
        "--tls-auth-clients",
        "no",
        NULL,
    };
    const struct process_options o = {
        .name = "redis", .directory = r->directory, .argv = argv, .there = true};
    process_free(r->process);
    r->process = process_start(&o);
    process_wait_port(r->process, r->port, START_MS);
}

static struct real_redis *new_on_a_port(void)
{
    struct real_redis *r = xcalloc(1, sizeof *r);
    r->directory = directory_new("redis");
    r->port = port_reserve();
    return r;
}

struct real_redis *real_redis_new(void)
{
    struct real_redis *r = new_on_a_port();
    real_redis_start(r);
    return r;
}

struct real_redis *real_redis_new_tls(const char *certificates, const char *name)
{
    struct real_redis *r = new_on_a_port();
    r->certificate = xasprintf("%s/%s.pem", certificates, name);
    r->key = xasprintf("%s/%s.key", certificates, name);
    real_redis_start(r);
    return r;
}

void real_redis_kill(struct real_redis *r)
{
    process_kill(r->process);
}

void real_redis_free(struct real_redis *r)
{
    if (!r)
        return;
    process_free(r->process);
    free(r->directory);
    free(r->certificate);
    free(r->key);
    free(r);
}
