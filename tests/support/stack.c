/* A whole Tally of a test's own: the real services with a real Redis, MariaDB and NGINX. */
#include "tests/support/stack.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/net.h"

enum { ENV_ROOM = 16, LOOK_EVERY_MS = 5 };

#define COUNTER_KEY "{tally}:visits"

char *stack_binary(const char *name)
{
    const char *bin = getenv("TALLY_BIN");
    char *path = xasprintf("%s/%s", bin && *bin ? bin : "build/release", name);
    char *whole = realpath(path, NULL);
    ck_assert_msg(whole != NULL, "%s is not there: TALLY_BIN names the directory", path);
    free(path);
    return whole;
}

void stack_env_free(char **env)
{
    for (char **e = env; *e; e++)
        free(*e);
    free(env);
}

static char *backend_url(const struct stack *s)
{
    if (s->options.backend_url)
        return xasprintf("BACKEND_URL=%s", s->options.backend_url);
    if (!(s->options.parts & STACK_BACKEND))
        return xstrdup("BACKEND_URL=");
    return xasprintf("BACKEND_URL=http://127.0.0.1:%d/backend", s->backend_port);
}

char **stack_frontend_env(struct stack *s, int i)
{
    char **env = xcalloc(ENV_ROOM, sizeof *env), **e = env;
    *e++ = xasprintf("PORT=%d", s->frontend_port[i]);
    *e++ = xasprintf("REDIS_URL=redis://127.0.0.1:%d/0", s->redis_port);
    *e++ = xasprintf("WORKERS=%u", s->options.workers ? s->options.workers : 1);
    *e++ = xasprintf("POD_NAME=pod-%d", i);
    *e++ = xstrdup("RELEASE=1.2.3");
    *e++ = backend_url(s);
    return env;
}

char **stack_backend_env(struct stack *s)
{
    char **env = xcalloc(ENV_ROOM, sizeof *env), **e = env;
    *e++ = xasprintf("PORT=%d", s->backend_port);
    *e++ = xasprintf("WORKERS=%u", s->options.workers ? s->options.workers : 1);
    *e++ = s->database ? xasprintf("DATABASE_URI=%s", s->database->uri)
                       : xasprintf("DATABASE_URI=mysql://tally:%s@127.0.0.1:%d/tally",
                                   MARIADB_PASSWORD, s->no_database_port);
    *e++ = xstrdup("RELEASE=1.2.3");
    return env;
}

/* Starts a service, its environment taken over, and waits for its port. */
static struct process *start_service(struct stack *s, struct process_options o, int port)
{
    const char *name = strncmp(o.name, "frontend", 8) == 0 ? "tally-frontend" : "tally-backend";
    char *binary = stack_binary(name);
    const char *const argv[] = {binary, NULL};
    o.directory = s->directory;
    o.argv = argv;
    struct process *p = process_start(&o);
    process_wait_port(p, port, PATIENCE_MS);
    stack_env_free((char **)o.env);
    free(binary);
    return p;
}

void stack_start_frontend(struct stack *s, int i)
{
    const struct process_options o = {.name = i ? "frontend-1" : "frontend-0",
                                      .env = (const char *const *)stack_frontend_env(s, i),
                                      .more_env = s->options.frontend_env};
    process_free(s->frontend[i]);
    s->frontend[i] = start_service(s, o, s->frontend_port[i]);
}

void stack_start_backend(struct stack *s)
{
    const struct process_options o = {.name = "backend",
                                      .env = (const char *const *)stack_backend_env(s),
                                      .more_env = s->options.backend_env};
    process_free(s->backend);
    s->backend = start_service(s, o, s->backend_port);
}

/* It listens while it still reads its file, and answers LOADING. */
static void wait_loaded(struct stack *s)
{
    static const char *const ping[] = {"PING", NULL};
    unsigned long long end = now_ms() + PATIENCE_MS;
    for (;;) {
        char *text = stack_redis(s, ping);
        bool loaded = strcmp(text, "PONG") == 0;
        ck_assert_msg(loaded || now_ms() < end, "Redis says: %s", text);
        free(text);
        if (loaded)
            return;
        pause_ms(LOOK_EVERY_MS);
    }
}

void stack_start_redis(struct stack *s)
{
    char port[16];
    snprintf(port, sizeof port, "%d", s->redis_port);
    const char *const argv[] = {"redis-server", "--port",     port,      "--bind", "127.0.0.1",
                                "--appendonly", "yes",        "--save",  "",       "--appendfsync",
                                "always",       "--loglevel", "warning", NULL};
    const struct process_options o = {
        .name = "redis", .directory = s->directory, .argv = argv, .there = true};
    process_free(s->redis);
    s->redis = process_start(&o);
    process_wait_port(s->redis, s->redis_port, PATIENCE_MS);
    wait_loaded(s);
}

/* NGINX as the laptop runs it, without limits: one client makes all of the load. */
void stack_start_nginx(struct stack *s)
{
    char *directory = xasprintf("%s/nginx", s->directory);
    char *conf = xasprintf("%s/nginx.conf", directory);
    char *env[] = {xasprintf("NGINX_DIRECTORY=%s", directory),
                   xasprintf("NGINX_LISTEN=listen 127.0.0.1:%d;", s->nginx_port),
                   xasprintf("NGINX_HEALTH_LISTEN=127.0.0.1:%d", s->nginx_health_port),
                   xasprintf("NGINX_FRONTEND=127.0.0.1:%d 127.0.0.1:%d", s->frontend_port[0],
                             s->frontend_port[s->frontend[1] ? 1 : 0]),
                   xasprintf("NGINX_ACCESS_LOG=%s/access.log", directory),
                   xstrdup("NGINX_RESOLVE=off"),
                   xstrdup("NGINX_RATE=0"),
                   xstrdup("NGINX_CONNECTIONS=0"),
                   xstrdup("NGINX_WORKERS=1"),
                   xstrdup(geteuid() == 0 ? "NGINX_USER=root" : "NGINX_USER="),
                   NULL};
    const char *const render[] = {"sh", "nginx/render", NULL};
    const char *const argv[] = {"nginx", "-p", directory, "-c", conf, "-g", "daemon off;", NULL};
    struct process_options o = {.name = "render",
                                .directory = s->directory,
                                .argv = render,
                                .env = (const char *const *)env};
    int status = process_run(&o, PATIENCE_MS, NULL);
    ck_assert_msg(status == 0, "nginx/render ended with %d", status);
    o.name = "nginx";
    o.argv = argv;
    process_free(s->nginx);
    s->nginx = process_start(&o);
    process_wait_port(s->nginx, s->nginx_port, PATIENCE_MS);
    for (char **e = env; *e; e++)
        free(*e);
    free(directory);
    free(conf);
}

struct process *stack_process(struct stack *s, unsigned part)
{
    switch (part) {
    case STACK_REDIS:
        return s->redis;
    case STACK_DATABASE:
        return s->database->process;
    case STACK_BACKEND:
        return s->backend;
    case STACK_NGINX:
        return s->nginx;
    default:
        return s->frontend[part == STACK_SECOND_FRONTEND];
    }
}

void stack_restart(struct stack *s, unsigned part)
{
    if (part == STACK_REDIS)
        stack_start_redis(s);
    else if (part == STACK_DATABASE)
        mariadb_start(s->database);
    else if (part == STACK_BACKEND)
        stack_start_backend(s);
    else if (part == STACK_NGINX)
        stack_start_nginx(s);
    else
        stack_start_frontend(s, part == STACK_SECOND_FRONTEND);
}

char *stack_redis(struct stack *s, const char *const *command)
{
    enum { WORDS = 12 };
    char port[16], *output;
    const char *argv[WORDS] = {"redis-cli", "-p", port};
    snprintf(port, sizeof port, "%d", s->redis_port);
    for (size_t i = 0; command[i]; i++) {
        ck_assert_uint_lt(i + 4, WORDS);
        argv[i + 3] = command[i];
    }
    char *directory = xasprintf("%s/cli-XXXXXX", s->directory);
    ck_assert_ptr_nonnull(mkdtemp(directory)); /* a log file of its own: the reply alone */
    const struct process_options o = {.name = "redis-cli", .directory = directory, .argv = argv};
    ck_assert_int_eq(process_run(&o, PATIENCE_MS, &output), 0);
    output[strcspn(output, "\n")] = '\0';
    free(directory);
    return output;
}

unsigned long long stack_counter(struct stack *s)
{
    const char *const get[] = {"GET", COUNTER_KEY, NULL};
    char *text = stack_redis(s, get);
    unsigned long long counter = strtoull(text, NULL, 10);
    free(text);
    return counter;
}

/* As `make run` does: tables, then the five users. */
static void prepare_database(struct stack *s)
{
    char *binary = stack_binary("tally-backend"), *output;
    char *more = xasprintf("MIGRATE_DATABASE_URI=%s", s->database->root_uri);
    char **env = stack_backend_env(s);
    const char *const more_env[] = {more, NULL};
    const char *const argv[] = {binary, "--migrate", "--seed", NULL};
    const struct process_options o = {.name = "migrate",
                                      .directory = s->directory,
                                      .argv = argv,
                                      .env = (const char *const *)env,
                                      .more_env = more_env};
    int status = process_run(&o, PATIENCE_MS, &output);
    ck_assert_msg(status == 0, "--migrate --seed ended with %d: %s", status, output);
    free(output);
    free(binary);
    free(more);
    stack_env_free(env);
}

void stack_wait_redis_up(struct stack *s, int i)
{
    ask_until_text(s->frontend_port[i], "/metrics", "",
                   "tally_dependency_up{dependency=\"redis\"} 1");
}

void stack_wait_backend_up(struct stack *s)
{
    ask_until(s->backend_port, "/backend", "", 200);
}

void stack_start_parts(struct stack *s)
{
    unsigned parts = s->options.parts;
    if (parts & STACK_REDIS)
        stack_start_redis(s);
    if (parts & STACK_DATABASE) {
        s->database = mariadb_new(s->directory);
        prepare_database(s);
    }
    if (parts & STACK_BACKEND)
        stack_start_backend(s);
    for (int i = 0; i < FRONTENDS; i++)
        if (parts & (i ? STACK_SECOND_FRONTEND : STACK_FRONTEND))
            stack_start_frontend(s, i);
    if ((parts & STACK_USERS) == STACK_USERS)
        stack_wait_backend_up(s);
    for (int i = 0; i < FRONTENDS; i++)
        if (s->frontend[i] && (parts & STACK_REDIS))
            stack_wait_redis_up(s, i);
    if (parts & STACK_NGINX)
        stack_start_nginx(s);
}

struct stack *stack_start(const struct stack_options *options)
{
    struct stack *s = xcalloc(1, sizeof *s);
    s->options = *options;
    s->directory = directory_new("stack");
    s->redis_port = port_reserve();
    s->backend_port = port_reserve();
    s->nginx_port = port_reserve();
    s->nginx_health_port = port_reserve();
    s->no_database_port = port_reserve();
    for (int i = 0; i < FRONTENDS; i++)
        s->frontend_port[i] = port_reserve();
    s->port = s->frontend_port[0];
    if (!options->unprepared)
        stack_start_parts(s);
    return s;
}

/* A service that the test has not ended itself leaves as it should. */
static void end_service(struct process *p)
{
    if (p && p->pid != 0) {
        if (p->frozen)
            process_thaw(p);
        process_terminate(p);
        int status = process_wait(p, PATIENCE_MS);
        char *output = process_output(p);
        ck_assert_msg(status == 0, "%s left with %d:\n%s", p->name, status, output);
        free(output);
    }
    process_free(p);
}

void stack_stop(struct stack *s)
{
    process_free(s->nginx);
    for (int i = 0; i < FRONTENDS; i++)
        end_service(s->frontend[i]);
    end_service(s->backend);
    mariadb_free(s->database);
    process_free(s->redis);
    free(s->directory);
    free(s);
}
