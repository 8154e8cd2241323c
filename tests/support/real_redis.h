/* A real redis-server of a test's own: private data, a port of its own, may be killed and return.
 */
#pragma once

struct process;

/* On disk before it answers (appendfsync always). Listens on 127.0.0.1:port. */
struct real_redis {
    struct process *process;
    char *directory;
    int port;
    char *certificate, *key; /* PEM files; NULL: no TLS */
};

/* Starts and waits until it takes connections. */
struct real_redis *real_redis_new(void);
/* The same for TLS alone, with NAME.pem and NAME.key of certificates_make. */
struct real_redis *real_redis_new_tls(const char *certificates, const char *name);
void real_redis_free(struct real_redis *r); /* NULL is fine */
void real_redis_kill(struct real_redis *r); /* SIGKILL */
void real_redis_start(struct real_redis *r);
