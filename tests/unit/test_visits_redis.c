/* The visit counter's script in a real Redis: its table of answers, and kills under load. */
#include "frontend/visits.h"
#include "frontend/metrics.h"
#include "frontend/visits_script.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/redis.h"
#include "lib/url.h"
#include "tests/support/loop.h"
#include "tests/support/real_redis.h"
#include "tests/support/suite.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define EXACT "9007199254740991" /* 2^53 - 1 */

static uv_loop_t loop;
static struct real_redis *server;
static struct url url;
static struct redis *redis;
static struct buf told;
static unsigned replies;

static void put_value(const struct redis_value *value)
{
    if (value->kind == REDIS_INTEGER)
        buf_printf(&told, "%lld", (long long)value->integer);
    else if (value->kind == REDIS_TEXT || value->kind == REDIS_ERROR)
        buf_puts(&told, value->text);
    else if (value->kind == REDIS_NIL)
        buf_puts(&told, "nil");
    for (size_t i = 0; i < value->count; i++) {
        buf_puts(&told, i ? " " : "");
        put_value(&value->items[i]);
    }
}

static void on_reply(void *arg, int status, const struct redis_value *value)
{
    (void)arg;
    ck_assert_int_eq(status, 0);
    replies++;
    put_value(value);
}

/* What Redis answers to one command, its words separated by single spaces. */
static const char *ask(const char *command)
{
    const char *argv[8];
    size_t argc = 0;
    unsigned before = replies;
    char *copy = xstrdup(command), *rest = copy;
    while (rest)
        argv[argc++] = strsep(&rest, " ");
    buf_clear(&told);
    buf_puts(&told, "");
    ck_assert_int_eq(redis_call(redis, on_reply, NULL, argc, argv, NULL), 0);
    free(copy);
    loop_wait(&loop, replies > before);
    return told.data;
}

/* "EVAL producer seq n floor" runs the script; everything else is a command. */
static const char *perform(const char *line)
{
    static const char RUN[] = "EVAL ";
    struct producer producer;
    char name, seq[32], n[32], floor[32];
    unsigned before = replies;
    if (strncmp(line, RUN, strlen(RUN)) != 0)
        return ask(line);
    ck_assert_int_eq(sscanf(line, "EVAL %c %31s %31s %31s", &name, seq, n, floor), 4);
    snprintf(producer.record, sizeof producer.record, "%s%c", VISITS_RECORD, name);
    char *script = visits_script();
    const char *argv[] = {"EVAL", script, "2", VISITS_COUNTER, producer.record, seq, n, floor};
    buf_clear(&told);
    ck_assert_int_eq(redis_call(redis, on_reply, NULL, 8, argv, NULL), 0);
    free(script);
    loop_wait(&loop, replies > before);
    return told.data;
}

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_init("test", LOG_ERROR + 1);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    server = real_redis_new();
    char *text = xasprintf("redis://127.0.0.1:%d/0", server->port);
    ck_assert_ptr_null(url_parse(text, &url));
    free(text);
}

static void tear_down(void)
{
    redis_free(redis);
    loop_end(&loop);
    real_redis_free(server);
    url_done(&url);
    buf_done(&told);
    uv_library_shutdown();
}

static void connect_plainly(void)
{
    struct redis_options options = {.loop = &loop, .url = &url, .timeout_ms = 5000};
    ck_assert_int_eq(redis_new(&options, &redis), 0);
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
}

/* ---- what the script answers ---- */

enum { LINES = 6 };

/* Plays in a Redis of their own: line, answer (its beginning), line, answer … */
static const struct {
    const char *name;
    struct {
        const char *line, *answer;
    } lines[LINES];
} PLAYS[] = {
    {"counts",
     {{"EVAL a 1 3 0", "3 0"},
      {"EVAL b 1 2 0", "5 0"},
      {"EVAL a 2 1 0", "6 0"},
      {"GET {tally}:visits", "6"},
      {"GET {tally}:p:a", "2 6"}}},
    {"repeats",
     {{"EVAL a 1 3 0", "3 0"},
      {"EVAL b 1 1 0", "4 0"},
      {"EVAL a 1 3 0", "3 1"},
      {"EVAL a 1 3 99", "3 1"},
      {"GET {tally}:visits", "4"}}},
    {"stale",
     {{"EVAL a 9 1 0", "1 0"},
      {"EVAL a 8 1 50", "STALE "},
      {"GET {tally}:visits", "1"},
      {"GET {tally}:p:a", "9 1"},
      {"EVAL a 9 1 0", "1 1"}}},
    {"floor",
     {{"EVAL a 1 1 100", "101 2"},
      {"EVAL a 2 1 101", "102 0"},
      {"EVAL a 3 2 50", "104 0"},
      {"GET {tally}:visits", "104"}}},
    {"greets",
     {{"EVAL a 0 0 0", "0 0"},
      {"GET {tally}:visits", "nil"},
      {"EVAL a 0 0 70", "70 2"},
      {"GET {tally}:visits", "70"},
      {"EVAL a 0 0 60", "70 0"},
      {"GET {tally}:p:a", "nil"}}},
    {"greeting leaves the record",
     {{"EVAL a 4 5 0", "5 0"},
      {"EVAL a 4 0 9", "9 2"},
      {"EVAL a 1 0 9", "9 0"},
      {"GET {tally}:p:a", "4 5"},
      {"EVAL a 4 5 9", "5 1"}}},
    {"record expires",
     {{"EVAL a 1 1 0", "1 0"}, {"TTL {tally}:p:a", "86400"}, {"TTL {tally}:visits", "-1"}}},
    {"greeting keeps the record alive",
     {{"EVAL a 1 1 0", "1 0"},
      {"EXPIRE {tally}:p:a 10", "1"},
      {"EVAL a 1 0 1", "1 0"},
      {"TTL {tally}:p:a", "86400"}}},
    {"exact",
     {{"EVAL a 1 1 9007199254740988", "9007199254740989 2"},
      {"EVAL a 2 1 0", "9007199254740990 0"},
      {"EVAL a 2 1 0", "9007199254740990 1"},
      {"EVAL a 3 1 0", EXACT " 0"},
      {"GET {tally}:visits", EXACT},
      {"EVAL a 4 1 0", "TALLY the counter is at its end"}}},
    {"exact sequences",
     {{"EVAL a 9007199254740990 1 0", "1 0"},
      {"EVAL a 9007199254740990 1 0", "1 1"},
      {"EVAL a " EXACT " 1 0", "2 0"},
      {"GET {tally}:p:a", EXACT " 2"}}},
    {"bad arguments",
     {{"EVAL a x 1 0", "TALLY an argument"},
      {"EVAL a 1 -1 0", "TALLY an argument"},
      {"EVAL a 1 1 9007199254740992", "TALLY an argument"},
      {"EVAL a 1 1e3 0", "TALLY an argument"},
      {"EVAL a 1 01 0", "TALLY an argument"},
      {"DBSIZE", "0"}}},
    {"a counter of the wrong type",
     {{"LPUSH {tally}:visits 1", "1"},
      {"EVAL a 1 1 0", "WRONGTYPE"},
      {"EVAL a 1 0 5", "WRONGTYPE"},
      {"EXISTS {tally}:p:a", "0"},
      {"TYPE {tally}:visits", "list"}}},
    {"a counter that is no number",
     {{"SET {tally}:visits abc", "OK"},
      {"EVAL a 1 1 0", "TALLY the counter is not"},
      {"SET {tally}:visits 1.5", "OK"},
      {"EVAL a 1 1 0", "TALLY the counter is not"},
      {"GET {tally}:visits", "1.5"},
      {"EXISTS {tally}:p:a", "0"}}},
    {"a record of the wrong type",
     {{"LPUSH {tally}:p:a 1", "1"}, {"EVAL a 1 1 0", "WRONGTYPE"}, {"DBSIZE", "1"}}},
    {"a damaged record",
     {{"SET {tally}:p:a garbage", "OK"},
      {"EVAL a 1 1 0", "TALLY the record is damaged"},
      {"SET {tally}:p:a 1", "OK"},
      {"EVAL a 2 1 0", "TALLY the record is damaged"},
      {"GET {tally}:p:a", "1"},
      {"EXISTS {tally}:visits", "0"}}},
    {"no memory",
     {{"EVAL a 1 1 0", "1 0"},
      {"CONFIG SET maxmemory 1", "OK"},
      {"EVAL a 2 1 0", "OOM"},
      {"EVAL a 1 1 0", "1 1"},
      {"GET {tally}:visits", "1"}}},
    {"a replica is noticed by the greeting",
     {{"REPLICAOF 127.0.0.1 1", "OK"}, {"EVAL a 0 0 0", "READONLY"}, {"DBSIZE", "0"}}},
};

/* A server before 7 puts words of its own in front of an error inside a script. */
START_TEST(the_script_answers)
{
    connect_plainly();
    for (int i = 0; i < LINES && PLAYS[_i].lines[i].line; i++) {
        const char *line = PLAYS[_i].lines[i].line, *answer = PLAYS[_i].lines[i].answer;
        const char *heard = perform(line);
        bool number = answer[0] >= '0' && answer[0] <= '9';
        bool good = number ? strcmp(heard, answer) == 0 : strstr(heard, answer) != NULL;
        ck_assert_msg(good, "%s: %s -> %s, not %s", PLAYS[_i].name, line, heard, answer);
    }
}
END_TEST

/* ---- killed under load ---- */

enum { PRODUCERS = 4, VISITORS = 8, KILLS = 5, ANSWERS_BETWEEN = 400, NUMBERS = 200000 };

struct visitor {
    struct batch_waiter waiter;
    int producer;
};

static uv_prepare_t turn;
static struct visits *visits[PRODUCERS];
static struct metrics *metrics[PRODUCERS];
static struct visitor visitors[PRODUCERS][VISITORS];
static _Atomic int64_t floors[PRODUCERS];
static unsigned char handed_out[NUMBERS];
static int64_t highest;
static unsigned answers;
static bool leaving;

static void on_number(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)waiter;
    if (status != 0)
        return;
    int64_t number = visits_number(index, result);
    ck_assert_int_gt(number, 0);
    ck_assert_int_lt(number, NUMBERS);
    ck_assert_msg(!handed_out[number], "%lld was handed out twice", (long long)number);
    handed_out[number] = 1;
    highest = number > highest ? number : highest;
    answers++;
}

/* Everyone who is not waiting comes back. */
static void on_turn(uv_prepare_t *prepare)
{
    (void)prepare;
    for (int p = 0; p < PRODUCERS; p++) {
        for (int i = 0; i < VISITORS && !leaving; i++) {
            struct batch_waiter *waiter = &visitors[p][i].waiter;
            waiter->on_done = on_number;
            if (waiter->place == BATCH_OUTSIDE)
                (void)!visits_join(visits[p], waiter);
        }
        visits_flush(visits[p]);
    }
}

/* Each a process of its own, or all workers of one. */
static void start_producers(bool one_process)
{
    for (int p = 0; p < PRODUCERS; p++) {
        metrics[p] = metrics_new(frontend_metrics, FRONTEND_METRICS);
        struct visits_options options = {.loop = &loop,
                                         .url = &url,
                                         .timeout_ms = 1000,
                                         .max_waiting = VISITORS,
                                         .floor = &floors[one_process ? 0 : p],
                                         .metrics = metrics[p]};
        ck_assert_int_eq(visits_new(&options, &visits[p]), 0);
    }
    uv_prepare_init(&loop, &turn);
    uv_prepare_start(&turn, on_turn);
}

static bool all_settled(void)
{
    for (int p = 0; p < PRODUCERS; p++)
        if (!visits_is_settled(visits[p]))
            return false;
    return true;
}

static uint64_t sum_of(enum frontend_metric id)
{
    uint64_t sum = 0;
    for (int p = 0; p < PRODUCERS; p++)
        sum += metrics_value(metrics[p], id);
    return sum;
}

static void stop_producers(void)
{
    uv_close((uv_handle_t *)&turn, NULL);
    for (int p = 0; p < PRODUCERS; p++) {
        visits_free(visits[p]);
        metrics_free(metrics[p]);
    }
}

START_TEST(no_number_twice_and_none_lost_across_kills)
{
    start_producers(false);
    for (int i = 0; i < KILLS; i++) {
        unsigned before = answers;
        loop_wait(&loop, answers >= before + ANSWERS_BETWEEN);
        real_redis_kill(server);
        real_redis_start(server);
    }
    leaving = true;
    loop_wait(&loop, all_settled());

    /* Settled batches are all there is: the counter says exactly as many as were counted. */
    connect_plainly();
    int64_t counter = strtoll(ask("GET {tally}:visits"), NULL, 10);
    ck_assert_int_le(highest, counter);
    ck_assert_uint_eq(sum_of(VISITS), (uint64_t)counter);
    ck_assert_uint_ge(sum_of(VISIT_BATCHES_REPEATED), 1);
    ck_assert_uint_eq(sum_of(FLOOR_NEEDED), 0);
    ck_assert_uint_eq(sum_of(VISIT_BATCHES_STALE), 0);
    stop_producers();
}
END_TEST

/* The process that knows better is believed. */
START_TEST(numbers_go_on_after_redis_lost_them)
{
    start_producers(true);
    loop_wait(&loop, answers >= ANSWERS_BETWEEN);
    leaving = true;
    loop_wait(&loop, all_settled());
    connect_plainly();
    unsigned before = answers;
    ask("FLUSHALL");
    leaving = false;
    loop_wait(&loop, answers >= before + ANSWERS_BETWEEN);
    leaving = true;
    loop_wait(&loop, all_settled());
    ck_assert_uint_eq(sum_of(FLOOR_NEEDED), 1);
    ck_assert_uint_eq(sum_of(VISITS), (uint64_t)highest);
    stop_producers();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("visits_redis");
    TCase *cases = tcase_create("script");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, the_script_answers, 0, (int)(sizeof PLAYS / sizeof *PLAYS));
    tcase_add_test(cases, no_number_twice_and_none_lost_across_kills);
    tcase_add_test(cases, numbers_go_on_after_redis_lost_them);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
