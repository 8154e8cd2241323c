/* Batching by flight time, as plays of a few waiters. */
#include "lib/batch.h"
#include "tests/support/suite.h"
#include <signal.h>
#include <uv.h>

enum { LIMIT = 8, TIMEOUT_MS = 100, CROWD = 5 };

/* One who waits, and what it was told. */
struct guest {
    struct batch_waiter waiter;
    int calls;
    int status;
    uint64_t index;
    const void *result;
    void (*on_told)(struct guest *guest);
};

static struct batch batch;
static struct guest guests[CROWD];
static char told[CROWD * 4 + 1]; /* who was told, in order: "012" */
static size_t told_count;

static void on_done(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    struct guest *guest = (struct guest *)waiter;
    guest->calls++;
    guest->status = status;
    guest->index = index;
    guest->result = result;
    told[told_count++] = (char)('0' + (guest - guests));
    told[told_count] = '\0';
    if (guest->on_told)
        guest->on_told(guest);
}

static void open_batch(void)
{
    batch_init(&batch, LIMIT, TIMEOUT_MS);
    for (int i = 0; i < CROWD; i++)
        guests[i] = (struct guest){.waiter.on_done = on_done};
    told_count = 0;
    told[0] = '\0';
}

/* Guests first … last join one after the other at the given time. */
static void join(int first, int last, uint64_t now_ms)
{
    for (int i = first; i <= last; i++)
        ck_assert_int_eq(batch_join(&batch, &guests[i].waiter, now_ms), 0);
}

static void leave(int guest)
{
    batch_leave(&batch, &guests[guest].waiter);
}

static void assert_told(int guest, int status, uint64_t index, const void *result)
{
    ck_assert_int_eq(guests[guest].calls, 1);
    ck_assert_int_eq(guests[guest].status, status);
    ck_assert_uint_eq(guests[guest].index, index);
    ck_assert_ptr_eq(guests[guest].result, result);
}

static void assert_empty(void)
{
    ck_assert_uint_eq(batch.waiting_count, 0);
    ck_assert_uint_eq(batch.flight_count, 0);
    ck_assert_uint_eq(batch_next_deadline(&batch), UINT64_MAX);
    ck_assert_uint_eq(batch_start(&batch), 0);
}

START_TEST(nobody_waits_nothing_starts)
{
    assert_empty();
    batch_fail_waiting(&batch, UV_ENOTCONN);
    batch_expire(&batch, UINT64_MAX);
    leave(0);
    ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(each_gets_the_result_and_an_index_of_its_own)
{
    int result;
    join(0, 2, 1000);
    ck_assert_uint_eq(batch_start(&batch), 3);
    ck_assert_str_eq(told, "");

    batch_finish(&batch, 0, &result);

    for (int i = 0; i < 3; i++)
        assert_told(i, 0, (uint64_t)i, &result);
    ck_assert_str_eq(told, "012");
    assert_empty();
}
END_TEST

START_TEST(whoever_comes_during_a_flight_takes_the_next)
{
    join(0, 1, 1000);
    ck_assert_uint_eq(batch_start(&batch), 2);
    join(2, 4, 1001);
    ck_assert_uint_eq(batch_start(&batch), 0);

    batch_finish(&batch, 0, "first");
    ck_assert_str_eq(told, "01");
    ck_assert_uint_eq(batch_start(&batch), 3);
    batch_finish(&batch, 0, "second");

    ck_assert_str_eq(told, "01234");
    ck_assert_uint_eq(guests[2].index, 0);
    ck_assert_uint_eq(guests[4].index, 2);
    ck_assert_str_eq(guests[4].result, "second");
}
END_TEST

START_TEST(failure_is_told_to_those_in_flight_only)
{
    join(0, 1, 1000);
    ck_assert_uint_eq(batch_start(&batch), 2);
    join(2, 2, 1000);

    batch_finish(&batch, UV_ECONNRESET, NULL);

    assert_told(0, UV_ECONNRESET, 0, NULL);
    assert_told(1, UV_ECONNRESET, 1, NULL);
    ck_assert_int_eq(guests[2].calls, 0);
    ck_assert_uint_eq(batch.waiting_count, 1);
}
END_TEST

START_TEST(leaving_in_flight_changes_nobody_elses_index)
{
    join(0, 3, 1000);
    ck_assert_uint_eq(batch_start(&batch), 4);
    leave(0);
    leave(2);
    leave(2);
    ck_assert_uint_eq(batch.sent, 4);
    ck_assert_uint_eq(batch.flight_count, 2);

    batch_finish(&batch, 0, NULL);

    ck_assert_str_eq(told, "13");
    assert_told(1, 0, 1, NULL);
    assert_told(3, 0, 3, NULL);
}
END_TEST

START_TEST(leaving_before_the_start_takes_no_index)
{
    join(0, 2, 1000);
    leave(1);
    ck_assert_uint_eq(batch_start(&batch), 2);

    batch_finish(&batch, 0, NULL);

    ck_assert_str_eq(told, "02");
    assert_told(2, 0, 1, NULL);
}
END_TEST

START_TEST(a_flight_that_all_left_is_still_a_flight)
{
    join(0, 1, 1000);
    ck_assert_uint_eq(batch_start(&batch), 2);
    leave(0);
    leave(1);
    join(2, 2, 1001);
    ck_assert_uint_eq(batch_start(&batch), 0);
    ck_assert_uint_eq(batch.sent, 2);

    batch_finish(&batch, 0, NULL);

    ck_assert_str_eq(told, "");
    ck_assert_uint_eq(batch_start(&batch), 1);
}
END_TEST

START_TEST(the_limit_counts_those_who_wait_and_those_in_flight)
{
    batch_init(&batch, 3, TIMEOUT_MS);
    join(0, 1, 1000);
    ck_assert_uint_eq(batch_start(&batch), 2);
    join(2, 2, 1000);

    ck_assert_int_eq(batch_join(&batch, &guests[3].waiter, 1000), UV_ENOBUFS);
    ck_assert_int_eq(guests[3].waiter.place, BATCH_OUTSIDE);
    leave(0);
    join(3, 3, 1000);

    ck_assert_int_eq(batch_join(&batch, &guests[4].waiter, 1000), UV_ENOBUFS);
    batch_finish(&batch, 0, NULL);
    batch_fail_waiting(&batch, UV_ENOTCONN);
    ck_assert_str_eq(told, "123");
    ck_assert_int_eq(guests[4].calls, 0);
}
END_TEST

START_TEST(failing_those_who_wait_leaves_the_flight_alone)
{
    join(0, 0, 1000);
    ck_assert_uint_eq(batch_start(&batch), 1);
    join(1, 2, 1000);

    batch_fail_waiting(&batch, UV_ENOTCONN);

    ck_assert_str_eq(told, "12");
    assert_told(1, UV_ENOTCONN, 0, NULL);
    assert_told(2, UV_ENOTCONN, 0, NULL);
    batch_finish(&batch, 0, NULL);
    ck_assert_str_eq(told, "120");
}
END_TEST

START_TEST(time_runs_out_in_the_order_of_joining)
{
    join(0, 0, 1000);
    join(1, 1, 1010);
    ck_assert_uint_eq(batch_start(&batch), 2);
    join(2, 2, 1020);
    ck_assert_uint_eq(batch_next_deadline(&batch), 1100);

    batch_expire(&batch, 1099);
    ck_assert_str_eq(told, "");
    batch_expire(&batch, 1100);
    ck_assert_str_eq(told, "0");
    ck_assert_uint_eq(batch_next_deadline(&batch), 1110);
    batch_expire(&batch, 5000);

    ck_assert_str_eq(told, "012");
    assert_told(1, UV_ETIMEDOUT, 1, NULL);
    assert_told(2, UV_ETIMEDOUT, 0, NULL);
    ck_assert_uint_eq(batch_next_deadline(&batch), UINT64_MAX);
}
END_TEST

START_TEST(a_flight_that_ran_out_of_time_is_not_over)
{
    join(0, 1, 1000);
    ck_assert_uint_eq(batch_start(&batch), 2);
    batch_expire(&batch, 1100);
    join(2, 2, 1100);
    ck_assert_uint_eq(batch_next_deadline(&batch), 1200);
    ck_assert_uint_eq(batch_start(&batch), 0);

    batch_finish(&batch, 0, NULL);

    ck_assert_str_eq(told, "01");
    ck_assert_uint_eq(batch_start(&batch), 1);
}
END_TEST

static void join_again(struct guest *guest)
{
    ck_assert_int_eq(batch_join(&batch, &guest->waiter, 1100), 0);
}

START_TEST(joining_when_told_means_the_next_call)
{
    join(0, 1, 1000);
    guests[0].on_told = guests[1].on_told = join_again;
    ck_assert_uint_eq(batch_start(&batch), 2);

    batch_finish(&batch, 0, NULL);
    ck_assert_str_eq(told, "01");
    ck_assert_uint_eq(batch_start(&batch), 2);
    batch_finish(&batch, 0, NULL);

    ck_assert_str_eq(told, "0101");
}
END_TEST

START_TEST(joining_when_failed_is_not_failed_again)
{
    join(0, 1, 1000);
    guests[0].on_told = guests[1].on_told = join_again;

    batch_fail_waiting(&batch, UV_ENOTCONN);

    ck_assert_str_eq(told, "01");
    ck_assert_uint_eq(batch.waiting_count, 2);
}
END_TEST

START_TEST(joining_when_expired_waits_its_full_time)
{
    join(0, 1, 1000);
    guests[0].on_told = guests[1].on_told = join_again;

    batch_expire(&batch, 1100);

    ck_assert_str_eq(told, "01");
    ck_assert_uint_eq(batch_next_deadline(&batch), 1200);
}
END_TEST

static void take_the_others_along(struct guest *guest)
{
    (void)guest;
    leave(1);
    leave(2);
}

START_TEST(leaving_when_another_is_told)
{
    join(0, 3, 1000);
    guests[0].on_told = take_the_others_along;
    ck_assert_uint_eq(batch_start(&batch), 4);

    batch_finish(&batch, 0, NULL);

    ck_assert_str_eq(told, "03");
    assert_told(3, 0, 3, NULL);
    assert_empty();
}
END_TEST

START_TEST(leaving_when_another_is_failed)
{
    join(0, 3, 1000);
    guests[0].on_told = take_the_others_along;

    batch_fail_waiting(&batch, UV_ENOTCONN);

    ck_assert_str_eq(told, "03");
    assert_empty();
}
END_TEST

static void try_to_start(struct guest *guest)
{
    join_again(guest);
    ck_assert_uint_eq(batch_start(&batch), 0);
}

START_TEST(no_call_starts_while_the_last_one_is_being_told)
{
    join(0, 1, 1000);
    guests[0].on_told = try_to_start;
    ck_assert_uint_eq(batch_start(&batch), 2);

    batch_finish(&batch, 0, NULL);

    ck_assert_str_eq(told, "01");
    ck_assert_uint_eq(batch_start(&batch), 1);
}
END_TEST

START_TEST(joining_twice_is_a_bug)
{
    join(0, 0, 1000);
    (void)!batch_join(&batch, &guests[0].waiter, 1000);
}
END_TEST

START_TEST(finishing_what_never_started_is_a_bug)
{
    join(0, 0, 1000);
    batch_finish(&batch, 0, NULL);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("batch");
    TCase *tcase = tcase_create("batch");
    tcase_add_checked_fixture(tcase, open_batch, NULL);
    tcase_add_test(tcase, nobody_waits_nothing_starts);
    tcase_add_test(tcase, each_gets_the_result_and_an_index_of_its_own);
    tcase_add_test(tcase, whoever_comes_during_a_flight_takes_the_next);
    tcase_add_test(tcase, failure_is_told_to_those_in_flight_only);
    tcase_add_test(tcase, leaving_in_flight_changes_nobody_elses_index);
    tcase_add_test(tcase, leaving_before_the_start_takes_no_index);
    tcase_add_test(tcase, a_flight_that_all_left_is_still_a_flight);
    tcase_add_test(tcase, the_limit_counts_those_who_wait_and_those_in_flight);
    tcase_add_test(tcase, failing_those_who_wait_leaves_the_flight_alone);
    tcase_add_test(tcase, time_runs_out_in_the_order_of_joining);
    tcase_add_test(tcase, a_flight_that_ran_out_of_time_is_not_over);
    tcase_add_test(tcase, joining_when_told_means_the_next_call);
    tcase_add_test(tcase, joining_when_failed_is_not_failed_again);
    tcase_add_test(tcase, joining_when_expired_waits_its_full_time);
    tcase_add_test(tcase, leaving_when_another_is_told);
    tcase_add_test(tcase, leaving_when_another_is_failed);
    tcase_add_test(tcase, no_call_starts_while_the_last_one_is_being_told);
    tcase_add_test_raise_signal(tcase, joining_twice_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tcase, finishing_what_never_started_is_a_bug, SIGABRT);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
