/* Holding a call back, for those who come together or for what is slower: when, and for how long.
 */
#include "lib/batch.h"
#include "tests/support/suite.h"

enum { TIMEOUT_MS = 1000, LIMIT = 100, GATHER_NS = 500 * 1000, FOLLOW_NS = 5 * 1000 * 1000 };

static struct batch b;
static struct batch_waiter waiters[LIMIT];

static void on_done(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)waiter, (void)status, (void)index, (void)result;
}

static void join(int first, int count)
{
    for (int i = first; i < first + count; i++) {
        waiters[i].on_done = on_done;
        ck_assert_int_eq(batch_join(&b, &waiters[i], 0), 0);
    }
}

/* A call with `n` went and came back. */
static void batch_travelled(int n)
{
    batch_init(&b, LIMIT, TIMEOUT_MS);
    join(0, n);
    ck_assert_uint_eq(batch_start(&b), (uint64_t)n);
    batch_finish(&b, 0, "");
}

START_TEST(the_first_call_is_not_held_back)
{
    batch_init(&b, LIMIT, TIMEOUT_MS);
    ck_assert(!batch_gathers(&b, 1));
    join(0, 1);
    ck_assert(!batch_gathers(&b, 1));
}
END_TEST

START_TEST(one_after_one_is_not_held_back)
{
    batch_travelled(1);
    join(0, 1);
    ck_assert(!batch_gathers(&b, 1));
}
END_TEST

START_TEST(a_call_waits_until_as_many_are_back)
{
    batch_travelled(3);
    join(0, 2);
    ck_assert(batch_gathers(&b, 1));
    join(2, 1);
    ck_assert(!batch_gathers(&b, 2));
}
END_TEST

START_TEST(a_call_waits_no_longer_than_the_bound)
{
    batch_travelled(3);
    join(0, 2);
    ck_assert(batch_gathers(&b, 1));
    ck_assert(batch_gathers(&b, GATHER_NS));
    ck_assert(!batch_gathers(&b, 1 + GATHER_NS));
    ck_assert_uint_eq(batch_start(&b), 2);
    batch_finish(&b, 0, "");
    join(0, 1);
    ck_assert(batch_gathers(&b, 1 + GATHER_NS)); /* its own moment begins */
}
END_TEST

START_TEST(nothing_is_held_back_while_a_call_is_in_flight)
{
    batch_travelled(3);
    join(0, 3);
    batch_start(&b);
    join(3, 1);
    ck_assert(!batch_gathers(&b, 1));
}
END_TEST

START_TEST(a_call_follows_the_slower_one)
{
    batch_init(&b, LIMIT, TIMEOUT_MS);
    join(0, 1);
    ck_assert(batch_follows(&b, true, 1));
    ck_assert(!batch_follows(&b, false, 2));
}
END_TEST

START_TEST(a_call_follows_no_longer_than_the_bound)
{
    batch_init(&b, LIMIT, TIMEOUT_MS);
    join(0, 1);
    ck_assert(batch_follows(&b, true, 1));
    ck_assert(batch_follows(&b, true, FOLLOW_NS));
    ck_assert(!batch_follows(&b, true, 1 + FOLLOW_NS));
    ck_assert_uint_eq(batch_start(&b), 1);
    batch_finish(&b, 0, "");
    join(0, 1);
    ck_assert(batch_follows(&b, true, 1 + FOLLOW_NS));
}
END_TEST

START_TEST(who_left_meanwhile_leaves_no_moment_behind)
{
    batch_init(&b, LIMIT, TIMEOUT_MS);
    join(0, 1);
    ck_assert(batch_follows(&b, true, 1));
    batch_leave(&b, &waiters[0]);
    ck_assert(!batch_follows(&b, true, 2));
    join(0, 1);
    ck_assert(batch_follows(&b, true, 1 + FOLLOW_NS));
}
END_TEST

START_TEST(nothing_follows_while_a_call_is_in_flight)
{
    batch_init(&b, LIMIT, TIMEOUT_MS);
    join(0, 1);
    batch_start(&b);
    join(1, 1);
    ck_assert(!batch_follows(&b, true, 1));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("batch_gathers");
    TCase *c = tcase_create("batch_gathers");
    tcase_add_test(c, the_first_call_is_not_held_back);
    tcase_add_test(c, one_after_one_is_not_held_back);
    tcase_add_test(c, a_call_waits_until_as_many_are_back);
    tcase_add_test(c, a_call_waits_no_longer_than_the_bound);
    tcase_add_test(c, nothing_is_held_back_while_a_call_is_in_flight);
    tcase_add_test(c, a_call_follows_the_slower_one);
    tcase_add_test(c, a_call_follows_no_longer_than_the_bound);
    tcase_add_test(c, who_left_meanwhile_leaves_no_moment_behind);
    tcase_add_test(c, nothing_follows_while_a_call_is_in_flight);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
