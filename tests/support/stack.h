/* A whole Tally of a test's own: the real services with a real Redis, MariaDB and NGINX. */
#pragma once

#include <stdbool.h>
#include "tests/support/mariadb.h"
#include "tests/support/process.h"

/* DESIGN. The binaries are those of TALLY_BIN (build/release). Every part has a port of its own
 * from the start, so that a service may be told of a store that comes later, or never. Everything
 * lies in one private directory and dies with the test. stack_stop ends the services by SIGTERM and
 * fails the test unless each exits with 0: that is where a sanitizer's findings show up. */
enum stack_parts {
    STACK_REDIS = 1,
    STACK_DATABASE = 2,
    STACK_BACKEND = 4,
    STACK_FRONTEND = 8,
    STACK_SECOND_FRONTEND = 16,
    STACK_NGINX = 32,
    STACK_COUNTER = STACK_REDIS | STACK_FRONTEND,
    STACK_USERS = STACK_DATABASE | STACK_BACKEND,
    STACK_ALL = STACK_COUNTER | STACK_USERS
};

enum { FRONTENDS = 2, PATIENCE_MS = 20000 };

struct stack_options {
    unsigned parts;
    unsigned workers;                /* of each service; 0: 1 */
    const char *const *frontend_env; /* NULL-ended, or NULL */
    const char *const *backend_env;
    const char *backend_url; /* instead of the backend's; "": the counter alone */
    bool unprepared;         /* start nothing, only reserve: the test starts what it wants */
};

struct stack {
    struct stack_options options;
    char *directory;
    int redis_port, backend_port, frontend_port[FRONTENDS], nginx_port, nginx_health_port;
    struct process *redis, *backend, *frontend[FRONTENDS], *nginx;
    struct mariadb *database; /* NULL: DATABASE_URI leads to a port where nobody listens */
    int no_database_port;
    int port; /* of the first frontend */
};

/* Starts the parts and waits until each does its work: a page is whole. */
struct stack *stack_start(const struct stack_options *options);
void stack_stop(struct stack *s);
/* What stack_start does, of one that was unprepared. */
void stack_start_parts(struct stack *s);

/* Single parts; the port must answer when these return, nothing more is waited for. A part that was
 * killed or has ended may be started again. */
void stack_start_redis(struct stack *s);
void stack_start_backend(struct stack *s);
void stack_start_frontend(struct stack *s, int i);
void stack_start_nginx(struct stack *s);
/* The process of one part, and its start after it has ended. */
struct process *stack_process(struct stack *s, unsigned part);
void stack_restart(struct stack *s, unsigned part);
/* Waits until all workers of frontend i, or of the backend, can use what they depend on. */
void stack_wait_redis_up(struct stack *s, int i);
void stack_wait_backend_up(struct stack *s);

/* Asks Redis, one command; the caller frees the text of the reply. */
char *stack_redis(struct stack *s, const char *const *command);
/* The counter as Redis has it. */
unsigned long long stack_counter(struct stack *s);
/* The path of a service's binary; the caller frees it. */
char *stack_binary(const char *name);
/* The environment that a service was given, NULL-ended; stack_env_free. For commands like
 * --check-config. */
char **stack_frontend_env(struct stack *s, int i);
char **stack_backend_env(struct stack *s);
void stack_env_free(char **env);
