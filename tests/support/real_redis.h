/* A real redis-server of a test's own: private data, a port of its own, may be killed and return.
 */
#pragma once

#include <stdbool.h>

struct process;

/* On disk before it answers (appendfsync always). Listens on 127.0.0.1:port. */
struct real_redis {
    struct process *process;
    char *directory;
    int port;
    const char *const *arguments; /* borrowed: more of them, NULL-ended, or NULL */
    bool tls;
};

/* Starts and waits until it takes connections. */
struct real_redis *real_redis_new(void);
/* The same for TLS alone; `arguments` name the certificates. */
struct real_redis *real_redis_new_tls(const char *const *arguments);
void real_redis_free(struct real_redis *r); /* NULL is fine */
void real_redis_kill(struct real_redis *r); /* SIGKILL */
void real_redis_start(struct real_redis *r);
