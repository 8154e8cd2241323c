/* Redis dies, freezes, comes late, loses its data or holds something else: no number is given
 * twice, none is lost, nobody waits beyond the deadline. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/load.h"
#include "tests/support/net.h"
#include "tests/support/stack.h"
#include "tests/support/suite.h"

#define JSON "Accept: application/json\r\n"

enum { VISIT_TIMEOUT_MS = 1000, MARGIN_MS = 900, ROUNDS = 4 };

/* Visitors who gave up waiting while their batch was on its way: only they may leave a gap. Who is
 * refused because Redis is away hears so at once. */
static size_t count_given_up(const struct load_result *r)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        count += r->records[i].status == 503 && r->records[i].took_us >= VISIT_TIMEOUT_MS * 500;
    return count;
}

/* The promise, whatever happened in between. A batch counted twice would show as a gap. */
static void must_have_kept_the_promise(struct stack *s, const struct load_result *r)
{
    unsigned long long counter = stack_counter(s);
    load_must_be_answered(r);
    ck_assert_uint_eq(load_count_status(r, 200) + load_count_status(r, 503), r->count);
    load_must_be_unique(r);
    ck_assert_uint_le(r->highest, counter);
    ck_assert_uint_le(r->visits, counter);
    ck_assert_uint_le(counter - r->visits, count_given_up(r));
    ck_assert_uint_le(r->slowest_us / 1000, VISIT_TIMEOUT_MS + MARGIN_MS);
}

static void kill_and_restart(struct stack *s)
{
    process_kill(s->redis);
    stack_start_redis(s);
}

static void freeze_and_thaw(struct stack *s)
{
    process_freeze(s->redis);
    ask_until(s->port, "/api/v1/visits", "", 503); /* until a deadline has passed; counts nothing */
    process_thaw(s->redis);
}

/* Like a server that runs out of room for scripts. */
static void forget_the_script(struct stack *s)
{
    static const char *const flush[] = {"SCRIPT", "FLUSH", NULL};
    free(stack_redis(s, flush));
}

static void (*const faults[])(struct stack *) = {kill_and_restart, freeze_and_thaw,
                                                 forget_the_script};
enum { FAULTS = sizeof faults / sizeof *faults };

/* Each fault with one and with two workers. */
START_TEST(numbers_stay_unique_when_redis_fails_under_load)
{
    struct stack *s = stack_start(
        &(struct stack_options){.parts = STACK_COUNTER, .workers = 1 + (unsigned)_i / FAULTS});
    size_t visits = load_scale(20000);
    int rounds = faults[_i % FAULTS] == freeze_and_thaw ? 2 : ROUNDS;
    struct load *load = load_start(&(struct load_options){.port = {s->port}, .visits = visits});
    for (int i = 0; i < rounds; i++) {
        load_wait_visits(load, visits / (ROUNDS + 2), 20000);
        faults[_i % FAULTS](s);
    }
    struct load_result r = load_finish(load, 60000);
    ck_assert_uint_ge(r.visits, visits);
    must_have_kept_the_promise(s, &r);
    load_done(&r);
    stack_stop(s);
}
END_TEST

START_TEST(a_number_not_counted_is_never_shown)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL});
    process_kill(s->redis);
    /* A visit on its way when Redis dies is counted later: the frontend must have noticed first. */
    ask_until(s->port, "/api/v1/visits", "", 503);
    const struct answer *a = ask_until(s->port, "/", JSON, 503);
    ck_assert_str_eq(answer_field(a, "Content-Type"), "application/problem+json");
    ck_assert_ptr_nonnull(answer_field(a, "Retry-After"));
    ck_assert_int_eq(ask_get(s->port, "/api/v1/visits", "")->status, 503);
    const struct answer *page = ask_get(s->port, "/", "");
    ck_assert_int_eq(page->status, 200);
    ck_assert_str_eq(answer_field(page, "X-Visit"), "unavailable");
    ck_assert_uint_eq(answer_number(page), 0);
    ck_assert_ptr_nonnull(strstr(page->body, "Ferg</p>"));
    stack_start_redis(s);
    ck_assert_uint_eq(answer_number(ask_until(s->port, "/", JSON, 200)), 1);
    stack_stop(s);
}
END_TEST

START_TEST(redis_may_come_after_the_frontend)
{
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .unprepared = true});
    stack_start_frontend(s, 0);
    ck_assert_int_eq(ask_get(s->port, "/", JSON)->status, 503);
    ck_assert_int_eq(ask_get(s->port, "/healthz", "")->status, 200);
    stack_start_redis(s);
    ck_assert_uint_eq(answer_number(ask_until(s->port, "/", JSON, 200)), 1);
    stack_stop(s);
}
END_TEST

/* Ten visits, then Redis is emptied: by command, or by losing its disk. */
START_TEST(numbers_never_go_backwards)
{
    static const char *const flush[] = {"FLUSHALL", NULL};
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER, .workers = 2});
    for (int i = 0; i < 10; i++)
        ask_get(s->port, "/", "");
    if (_i == 0) {
        free(stack_redis(s, flush));
    } else {
        char *disk = xasprintf("%s/appendonlydir", s->directory);
        char *lost = xasprintf("%s/lost", s->directory);
        process_kill(s->redis);
        ck_assert_int_eq(rename(disk, lost), 0);
        stack_start_redis(s);
        free(disk);
        free(lost);
    }
    uint64_t number = answer_number(ask_until(s->port, "/", JSON, 200));
    ck_assert_uint_gt(number, 10);
    ck_assert_uint_eq(number, stack_counter(s));
    const struct answer *metrics = ask_get(s->port, "/metrics", "");
    ck_assert(metric_value(metrics->body, "tally_floor_needed_total") >= 1);
    stack_stop(s);
}
END_TEST

/* Somebody has put something else where the counter was. */
START_TEST(a_key_of_another_kind_is_told_of_and_survived)
{
    static const char *const wrong[][5] = {{"LPUSH", "{tally}:visits", "x"},
                                           {"SET", "{tally}:visits", "many"}};
    static const char *const remove[] = {"DEL", "{tally}:visits", NULL};
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER});
    ck_assert_uint_eq(answer_number(ask_get(s->port, "/", "")), 1);
    free(stack_redis(s, remove));
    free(stack_redis(s, wrong[_i]));
    ask_until(s->port, "/", JSON, 503);
    free(stack_redis(s, remove));
    ck_assert_uint_gt(answer_number(ask_until(s->port, "/", JSON, 200)), 1);
    stack_stop(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("redis_faults");
    TCase *c = tcase_create("redis_faults");
    tcase_set_timeout(c, 90);
    tcase_add_loop_test(c, numbers_stay_unique_when_redis_fails_under_load, 0, 2 * FAULTS);
    tcase_add_test(c, a_number_not_counted_is_never_shown);
    tcase_add_test(c, redis_may_come_after_the_frontend);
    tcase_add_loop_test(c, numbers_never_go_backwards, 0, 2);
    tcase_add_loop_test(c, a_key_of_another_kind_is_told_of_and_survived, 0, 2);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
