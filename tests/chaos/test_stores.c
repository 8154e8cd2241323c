/* The stores misbehave for real: Redis refuses, loses data, fails over, has no disk; MariaDB
 * refuses, kills, locks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "lib/mem.h"
#include "tests/support/chaos.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"

#define COUNTER "{tally}:visits"

static void tell_redis(struct chaos *c, const char *const *command)
{
    free(stack_redis(c->stack, command));
}

/* What Redis is told, and what ends it. */
static const struct {
    const char *begin[6], *end[6];
} refusals[] = {
    /* -READONLY */
    {{"REPLICAOF", "127.0.0.1", "1"}, {"REPLICAOF", "NO", "ONE"}},
    /* -OOM */
    {{"CONFIG", "SET", "maxmemory", "1"}, {"CONFIG", "SET", "maxmemory", "0"}},
    /* no answer at all while clients pause */
    {{"CLIENT", "PAUSE", "700", "ALL"}, {"CLIENT", "UNPAUSE"}},
    /* connections are closed by the server */
    {{"CLIENT", "KILL", "TYPE", "normal"}, {"PING"}},
    /* -NOPERM */
    {{"ACL", "SETUSER", "default", "-eval"}, {"ACL", "SETUSER", "default", "+eval"}},
};

START_TEST(redis_refuses)
{
    struct chaos *c = chaos_begin(
        &(struct chaos_options){.parts = STACK_COUNTER, .workers = 1 + (unsigned)_i % 2});
    while (chaos_goes_on(c)) {
        tell_redis(c, refusals[_i].begin);
        chaos_pass(50, 700);
        tell_redis(c, refusals[_i].end);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* -BUSY: a script that never ends holds Redis up, until somebody kills it. */
START_TEST(redis_is_busy_with_a_script)
{
    char port[16];
    static const char *const soon[] = {"CONFIG", "SET", "lua-time-limit", "50", NULL};
    static const char *const kill_script[] = {"SCRIPT", "KILL", NULL};
    struct chaos *c = chaos_begin(&(struct chaos_options){.parts = STACK_COUNTER});
    snprintf(port, sizeof port, "%d", c->stack->redis_port);
    const char *const argv[] = {"redis-cli", "-p", port, "EVAL", "while true do end", "0", NULL};
    const struct process_options o = {
        .name = "busy", .directory = c->stack->directory, .argv = argv};
    tell_redis(c, soon);
    while (chaos_goes_on(c)) {
        struct process *busy = process_start(&o);
        chaos_pass(200, 900);
        tell_redis(c, kill_script);
        process_wait(busy, PATIENCE_MS);
        process_free(busy);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* The counter is taken away, and something of another type stands there for a moment. One worker:
 * of two whose calls are under way at that moment, one was counted before and one is after it. */
START_TEST(the_counter_is_of_another_type)
{
    static const char *const wrong[] = {"LPUSH", COUNTER, "x", NULL};
    static const char *const remove[] = {"DEL", COUNTER, NULL};
    struct chaos *c = chaos_begin(&(struct chaos_options){.parts = STACK_COUNTER});
    while (chaos_goes_on(c)) {
        tell_redis(c, remove); /* who comes right after it is counted on from the floor */
        tell_redis(c, wrong);
        chaos_pass(50, 500);
        tell_redis(c, remove);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

static void run(struct chaos *c, const char *const *argv)
{
    char *output;
    const struct process_options o = {
        .name = argv[0], .directory = c->stack->directory, .argv = argv};
    int status = process_run(&o, PATIENCE_MS, &output);
    ck_assert_msg(status == 0, "%s ended with %d: %s", argv[0], status, output);
    free(output);
}

static void copy_disk(struct chaos *c, const char *from, const char *to)
{
    char *source = xasprintf("%s/%s", c->stack->directory, from);
    char *target = xasprintf("%s/%s", c->stack->directory, to);
    const char *const clear[] = {"rm", "-rf", target, NULL};
    const char *const copy[] = {"cp", "-a", source, target, NULL};
    run(c, clear);
    run(c, copy);
    free(source);
    free(target);
}

/* The floor: a Redis that knows less than what was handed out. */
START_TEST(redis_comes_back_from_an_older_backup)
{
    struct chaos *c = chaos_begin(&(struct chaos_options){.parts = STACK_COUNTER, .workers = 2});
    while (chaos_goes_on(c)) {
        process_freeze(c->stack->redis);
        copy_disk(c, "appendonlydir", "backup");
        process_thaw(c->stack->redis);
        load_wait_visits(c->load, 200, PATIENCE_MS);
        process_kill(c->stack->redis);
        copy_disk(c, "backup", "appendonlydir");
        stack_start_redis(c->stack);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* The file grows to its limit: with appendfsync always Redis ends rather than lie. */
START_TEST(the_disk_under_redis_is_full)
{
    struct chaos *c = chaos_begin(&(struct chaos_options){.parts = STACK_COUNTER});
    while (chaos_goes_on(c)) {
        const struct rlimit small = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
        ck_assert_int_eq(prlimit(c->stack->redis->pid, RLIMIT_FSIZE, &small, NULL), 0);
        ck_assert_int_ne(process_wait(c->stack->redis, PATIENCE_MS), 0);
        chaos_pass(0, 500);
        stack_start_redis(c->stack);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* A second Redis that follows the first. */
static struct process *start_replica(int port, int master)
{
    char text[16], master_text[16];
    char *directory = directory_new("replica");
    snprintf(text, sizeof text, "%d", port);
    snprintf(master_text, sizeof master_text, "%d", master);
    const char *const argv[] = {"redis-server",
                                "--port",
                                text,
                                "--bind",
                                "127.0.0.1",
                                "--save",
                                "",
                                "--appendonly",
                                "yes",
                                "--replicaof",
                                "127.0.0.1",
                                master_text,
                                "--repl-diskless-sync-delay",
                                "0",
                                NULL};
    const struct process_options o = {
        .name = "replica", .directory = directory, .argv = argv, .there = true};
    struct process *replica = process_start(&o);
    process_wait_port(replica, port, PATIENCE_MS);
    process_wait_output(replica, "Finished with success", PATIENCE_MS);
    free(directory);
    return replica;
}

/* The name leads to the replica from now on. What had not reached it is below the floor. */
START_TEST(a_replica_takes_over_behind_the_name)
{
    static const char *const promote[] = {"REPLICAOF", "NO", "ONE", NULL};
    struct chaos *c =
        chaos_begin(&(struct chaos_options){.parts = STACK_COUNTER, .through_proxy = true});
    int port = port_reserve();
    struct process *replica = start_replica(port, c->stack->redis_port);
    bool lagging = _i;
    load_wait_visits(c->load, 200, PATIENCE_MS);
    if (lagging) {
        process_freeze(replica);
        load_wait_visits(c->load, 200, PATIENCE_MS);
    }
    process_kill(c->stack->redis);
    if (lagging)
        process_thaw(replica);
    c->stack->redis_port = port;
    tell_redis(c, promote);
    proxy_point_to(c->redis, port);
    chaos_must_recover(c);
    chaos_end(c);
    process_free(replica);
}
END_TEST

/* What MariaDB is told, and what ends it. */
static const struct {
    const char *begin, *end;
} troubles[] = {
    /* too many connections: those that are there are killed, and no new ones come in */
    {"SET GLOBAL max_connections = 10; ALTER USER 'tally'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1",
     "ALTER USER 'tally'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 0"},
    {"KILL USER 'tally'@'127.0.0.1'", "SELECT 1"},
    {"SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"},
    {"ALTER USER 'tally'@'127.0.0.1' ACCOUNT LOCK; KILL USER 'tally'@'127.0.0.1'",
     "ALTER USER 'tally'@'127.0.0.1' ACCOUNT UNLOCK"},
    {"RENAME TABLE users TO users_gone", "RENAME TABLE users_gone TO users"},
    {"SET GLOBAL wait_timeout = 1", "SET GLOBAL wait_timeout = 28800"},
};

START_TEST(mariadb_refuses)
{
    struct chaos *c =
        chaos_begin(&(struct chaos_options){.parts = STACK_ALL, .workers = 1 + (unsigned)_i % 2});
    while (chaos_goes_on(c)) {
        mariadb_run(c->stack->database, troubles[_i].begin);
        chaos_pass(50, 700);
        mariadb_run(c->stack->database, troubles[_i].end);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)

static Suite *make_suite(void)
{
    Suite *suite = suite_create("stores");
    TCase *redis = tcase_create("redis"), *database = tcase_create("database");
    tcase_set_timeout(redis, 60);
    tcase_add_loop_test(redis, redis_refuses, 0, ROWS(refusals));
    tcase_add_test(redis, redis_is_busy_with_a_script);
    tcase_add_test(redis, the_counter_is_of_another_type);
    tcase_add_test(redis, redis_comes_back_from_an_older_backup);
    tcase_add_test(redis, the_disk_under_redis_is_full);
    tcase_add_loop_test(redis, a_replica_takes_over_behind_the_name, 0, 2);
    suite_add_tcase(suite, redis);
    tcase_set_timeout(database, 60);
    tcase_add_loop_test(database, mariadb_refuses, 0, ROWS(troubles));
    suite_add_tcase(suite, database);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
