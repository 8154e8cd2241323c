/* The pool: which connection does a job, what happens to dead ones, and when none is tried. The
 * store is a fake that does what the test says. */
#include "backend/pool.h"
#include "backend/metrics.h"
#include "backend/store.h"
#include "lib/mem.h"
#include "tests/support/suite.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_S = 1, PATIENCE_MS = 10000 };

/* ---- the fake store; used on the pool's threads ---- */

struct store {
    int number;
};

static atomic_int opened, closed, open_status, threads_begun, threads_ended;

int store_open(const struct store_options *options, struct store **ret_store, char *reason)
{
    ck_assert_uint_eq(options->timeout_s, TIMEOUT_S);
    snprintf(reason, STORE_REASON, "the fake is away");
    if (open_status)
        return open_status;
    *ret_store = xcalloc(1, sizeof **ret_store);
    (*ret_store)->number = ++opened;
    return 0;
}

void store_close(struct store *s)
{
    if (s)
        closed++;
    free(s);
}

void store_thread_init(void)
{
    threads_begun++;
}

void store_thread_done(void)
{
    threads_ended++;
}

/* ---- the stage ---- */

struct job {
    struct pool_job base;
    uv_sem_t *hold; /* NULL: runs through */
    int results[3]; /* of the first, second … run */
    int slow_ms;    /* each run takes so long */
    int runs, store, done, status;
    char reason[STORE_REASON];
};

static uv_loop_t loop;
static struct pool *pool;
static struct metrics *metrics;

static int on_run(struct pool_job *base, struct store *store, char *reason)
{
    struct job *job = CONTAINER_OF(base, struct job, base);
    job->store = store->number;
    if (job->hold)
        uv_sem_wait(job->hold);
    if (job->slow_ms)
        uv_sleep((unsigned)job->slow_ms);
    snprintf(reason, STORE_REASON, "run %d", job->runs);
    return job->results[job->runs++];
}

static void on_done(struct pool_job *base, int status, const char *reason)
{
    struct job *job = CONTAINER_OF(base, struct job, base);
    job->done++;
    job->status = status;
    snprintf(job->reason, sizeof job->reason, "%s", reason);
}

static struct job job(void)
{
    return (struct job){.base = {.run = on_run, .on_done = on_done}};
}

static void wait_done(const struct job *j)
{
    uint64_t end = uv_hrtime() + PATIENCE_MS * 1000000ULL;
    while (!j->done && uv_hrtime() < end)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(j->done, 1);
}

/* Runs it and waits for the end. */
static void act(struct job *j)
{
    ck_assert_int_eq(pool_run(pool, &j->base), 0);
    ck_assert_int_eq(j->done, 0);
    wait_done(j);
}

static void start(unsigned size)
{
    opened = closed = open_status = threads_begun = threads_ended = 0;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    metrics = metrics_new(backend_metrics, BACKEND_METRICS);
    struct pool_options o = {
        .loop = &loop, .size = size, .timeout_s = TIMEOUT_S, .metrics = metrics};
    pool = pool_new(&o);
}

static void stop(void)
{
    pool_free(pool);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_int_eq(opened, closed);
    ck_assert_int_eq(threads_begun, threads_ended);
    metrics_free(metrics);
}

/* ---- the plays ---- */

START_TEST(a_connection_is_made_once_and_used_again)
{
    struct job first = job(), second = job();
    start(4);
    act(&first);
    act(&second);
    ck_assert_int_eq(first.store, 1);
    ck_assert_int_eq(second.store, 1);
    ck_assert_int_eq(opened, 1);
    ck_assert_int_eq(threads_begun, 2);
    stop();
}
END_TEST

START_TEST(a_busy_connection_is_left_alone)
{
    struct job slow = job(), second = job(), third = job();
    uv_sem_t hold;
    uv_sem_init(&hold, 0);
    slow.hold = &hold;
    start(2);
    ck_assert_int_eq(pool_run(pool, &slow.base), 0);
    act(&second);
    act(&third);
    ck_assert_int_eq(second.store, third.store);
    ck_assert_uint_eq(pool_busy(pool), 1);
    uv_sem_post(&hold);
    wait_done(&slow);
    ck_assert_int_ne(slow.store, second.store);
    ck_assert_uint_eq(pool_busy(pool), 0);
    stop();
    uv_sem_destroy(&hold);
}
END_TEST

START_TEST(when_all_are_busy_the_next_is_refused)
{
    struct job slow = job(), refused = job(), later = job();
    uv_sem_t hold;
    uv_sem_init(&hold, 0);
    slow.hold = &hold;
    start(1);
    ck_assert_int_eq(pool_run(pool, &slow.base), 0);
    ck_assert_int_eq(pool_check(pool), UV_EBUSY);
    ck_assert_int_eq(pool_run(pool, &refused.base), UV_EBUSY);
    uv_sem_post(&hold);
    wait_done(&slow);
    act(&later);
    ck_assert_int_eq(refused.runs + refused.done, 0);
    stop();
    uv_sem_destroy(&hold);
}
END_TEST

START_TEST(a_connection_that_died_idle_is_replaced_and_the_job_repeated)
{
    struct job first = job(), second = job();
    start(2);
    act(&first);
    second.results[0] = UV_ECONNRESET;
    act(&second);
    ck_assert_int_eq(second.status, 0);
    ck_assert_int_eq(second.runs, 2);
    ck_assert_int_eq(second.store, 2);
    ck_assert_int_eq(closed, 1);
    ck_assert_uint_eq(metrics_value(metrics, DATABASE_STALE), 1);
    stop();
}
END_TEST

START_TEST(a_job_is_repeated_once_only)
{
    struct job first = job(), second = job();
    start(2);
    act(&first);
    second.results[0] = second.results[1] = UV_ECONNRESET;
    act(&second);
    ck_assert_int_eq(second.status, UV_ECONNRESET);
    ck_assert_int_eq(second.runs, 2);
    ck_assert_str_eq(second.reason, "run 1");
    stop();
}
END_TEST

START_TEST(a_fresh_connection_that_fails_is_no_stale_one)
{
    struct job only = job();
    start(1);
    only.results[0] = UV_ECONNRESET;
    act(&only);
    ck_assert_int_eq(only.status, UV_ECONNRESET);
    ck_assert_int_eq(only.runs, 1);
    ck_assert_int_eq(closed, 1);
    stop();
}
END_TEST

START_TEST(a_job_that_took_its_time_is_not_repeated)
{
    struct job first = job(), slow = job();
    start(1);
    act(&first);
    slow.results[0] = UV_ECONNRESET;
    slow.slow_ms = TIMEOUT_S * 1000 / 2;
    act(&slow);
    ck_assert_int_eq(slow.status, UV_ECONNRESET);
    ck_assert_int_eq(slow.runs, 1);
    stop();
}
END_TEST

START_TEST(a_refused_statement_keeps_its_connection)
{
    struct job wrong = job(), right = job();
    start(1);
    wrong.results[0] = UV_EPROTO;
    act(&wrong);
    act(&right);
    ck_assert_int_eq(wrong.status, UV_EPROTO);
    ck_assert_int_eq(right.store, 1);
    stop();
}
END_TEST

static void let_backoff_pass(void)
{
    uint64_t end = uv_hrtime() + PATIENCE_MS * 1000000ULL;
    while (pool_check(pool) == UV_ENOTCONN && uv_hrtime() < end) {
        uv_sleep(1);
        uv_update_time(&loop);
    }
    ck_assert_int_eq(pool_check(pool), 0);
}

START_TEST(after_a_failed_connect_none_is_tried_for_a_growing_while)
{
    struct job early = job();
    start(2);
    open_status = UV_ECONNREFUSED;
    for (uint64_t least = 50; least <= 200; least *= 2) {
        struct job down = job();
        act(&down);
        ck_assert_int_eq(down.status, UV_ECONNREFUSED);
        ck_assert_int_eq(down.runs, 0);
        ck_assert_str_eq(down.reason, "the fake is away");
        ck_assert_int_eq(pool_run(pool, &early.base), UV_ENOTCONN);
        ck_assert_uint_ge(pool_retry_at_ms(pool) - uv_now(&loop), least);
        ck_assert_uint_le(pool_retry_at_ms(pool) - uv_now(&loop), 2 * least);
        let_backoff_pass();
    }
    stop();
}
END_TEST

/* A database that was away for long is found within two seconds of its return. */
START_TEST(the_longest_while_is_below_two_seconds)
{
    start(2);
    open_status = UV_ECONNREFUSED;
    for (int i = 0; i < 6; i++) {
        struct job down = job();
        let_backoff_pass();
        act(&down);
    }
    ck_assert_uint_le(pool_retry_at_ms(pool) - uv_now(&loop), 1900);
    stop();
}
END_TEST

START_TEST(success_ends_the_backing_off)
{
    struct job down = job(), up = job(), again = job();
    start(2);
    open_status = UV_EACCES;
    act(&down);
    let_backoff_pass();
    open_status = 0;
    act(&up);
    ck_assert_int_eq(up.status, 0);
    open_status = UV_EACCES;
    again.results[0] = UV_ECONNRESET;
    act(&again);
    ck_assert_int_eq(again.status, UV_EACCES);
    ck_assert_uint_le(pool_retry_at_ms(pool) - uv_now(&loop), 100);
    stop();
}
END_TEST

START_TEST(a_pooled_connection_is_used_while_no_new_one_is_tried)
{
    struct job first = job(), slow = job(), down = job(), third = job();
    uv_sem_t hold;
    uv_sem_init(&hold, 0);
    start(2);
    act(&first);
    slow.hold = &hold;
    ck_assert_int_eq(pool_run(pool, &slow.base), 0);
    open_status = UV_ECONNREFUSED;
    act(&down);
    ck_assert_int_eq(pool_check(pool), UV_ENOTCONN);
    uv_sem_post(&hold);
    wait_done(&slow);
    act(&third);
    ck_assert_int_eq(third.store, 1);
    stop();
    uv_sem_destroy(&hold);
}
END_TEST

START_TEST(a_busy_job_ends_after_the_pool_is_left)
{
    struct job first = job(), slow = job();
    uv_sem_t hold;
    uv_sem_init(&hold, 0);
    slow.hold = &hold;
    start(3);
    act(&first);
    ck_assert_int_eq(pool_run(pool, &slow.base), 0);
    pool_free(pool);
    pool = NULL;
    ck_assert_int_eq(closed, 0);
    uv_sem_post(&hold);
    wait_done(&slow);
    ck_assert_int_eq(slow.status, 0);
    ck_assert_int_eq(closed, 1);
    stop();
    uv_sem_destroy(&hold);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("pool");
    TCase *t = tcase_create("pool");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, a_connection_is_made_once_and_used_again);
    tcase_add_test(t, a_busy_connection_is_left_alone);
    tcase_add_test(t, when_all_are_busy_the_next_is_refused);
    tcase_add_test(t, a_connection_that_died_idle_is_replaced_and_the_job_repeated);
    tcase_add_test(t, a_job_is_repeated_once_only);
    tcase_add_test(t, a_fresh_connection_that_fails_is_no_stale_one);
    tcase_add_test(t, a_job_that_took_its_time_is_not_repeated);
    tcase_add_test(t, a_refused_statement_keeps_its_connection);
    tcase_add_test(t, after_a_failed_connect_none_is_tried_for_a_growing_while);
    tcase_add_test(t, success_ends_the_backing_off);
    tcase_add_test(t, the_longest_while_is_below_two_seconds);
    tcase_add_test(t, a_pooled_connection_is_used_while_no_new_one_is_tried);
    tcase_add_test(t, a_busy_job_ends_after_the_pool_is_left);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
