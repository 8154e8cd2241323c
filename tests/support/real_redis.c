/* A real redis-server of a test's own. */
#include "tests/support/real_redis.h"
#include "lib/mem.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARGUMENTS_MAX = 40, START_MS = 15000 };

void real_redis_start(struct real_redis *r)
{
    char port[16];
    snprintf(port, sizeof port, "%d", r->port);
    const char *port_option = r->tls ? "--tls-port" : "--port";
    const char *argv[ARGUMENTS_MAX] = {
        "redis-server", "--bind",        "127.0.0.1", "--save", "",  "--appendonly", "yes", "--dir",
        r->directory,   "--appendfsync", "always",    "--port", "0", port_option,    port,
    };
    size_t count = 15;
    for (const char *const *a = r->arguments; a && *a; a++) {
        ck_assert_uint_lt(count, ARGUMENTS_MAX - 1);
        argv[count++] = *a;
    }
    const struct process_options o = {
        .name = "redis", .directory = r->directory, .argv = argv, .there = true};
    process_free(r->process);
    r->process = process_start(&o);
    process_wait_port(r->process, r->port, START_MS);
}

static struct real_redis *new_on(const char *const *arguments, bool tls)
{
    struct real_redis *r = xcalloc(1, sizeof *r);
    r->directory = directory_new("redis");
    r->port = port_reserve();
    r->arguments = arguments;
    r->tls = tls;
    real_redis_start(r);
    return r;
}

struct real_redis *real_redis_new(void)
{
    return new_on(NULL, false);
}

struct real_redis *real_redis_new_tls(const char *const *arguments)
{
    return new_on(arguments, true);
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
    free(r);
}
