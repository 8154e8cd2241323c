/* The visit counter against a scripted Redis: batches, and repeats until each is settled. */
#include "frontend/visits.h"
#include "frontend/metrics.h"
#include "frontend/visits_script.h"
#include "tests/support/fake_redis.h"
#include "tests/support/loop.h"
#include "tests/support/suite.h"
#include "tests/support/visits_house.h"
#include <stdlib.h>
#include <string.h>

/* ---- counting ---- */

START_TEST(all_who_wait_share_one_call)
{
    house_start_up();
    fake_redis_expect(house.server, EVAL("1 3 0"), "*2\r\n:103\r\n:0\r\n");
    house_join_all(0, 2);
    house_wait_for(2);

    for (int i = 0; i < 3; i++)
        assert_number(i, 101 + i);
    ck_assert(visits_is_settled(house.visits));
    ck_assert_int_eq(house.floor_seen, 103);
    ck_assert_uint_eq(metrics_value(house.metrics, VISITS), 3);
    ck_assert_uint_eq(metrics_value(house.metrics, VISIT_BATCHES), 1);
    ck_assert_uint_eq(metrics_value(house.metrics, VISIT_BATCH_SIZE), 1);
}
END_TEST

START_TEST(who_comes_during_a_call_takes_the_next_and_carries_the_floor)
{
    house_start_up();
    fake_redis_expect_late(house.server, EVAL("1 1 0"), "*2\r\n:7\r\n:0\r\n", 30);
    fake_redis_expect(house.server, EVAL("2 2 7"), "*2\r\n:9\r\n:0\r\n");
    house_join_all(0, 0);
    loop_wait(&house.loop, !visits_is_settled(house.visits));
    house_join_all(1, 2);
    house_wait_for(2);
    assert_number(0, 7);
    assert_number(1, 8);
    assert_number(2, 9);
}
END_TEST

START_TEST(who_leaves_burns_a_number)
{
    house_start_up();
    fake_redis_expect_late(house.server, EVAL("1 3 0"), "*2\r\n:3\r\n:0\r\n", 20);
    house_join_all(0, 2);
    loop_wait(&house.loop, !visits_is_settled(house.visits));
    visits_leave(house.visits, &house.guests[1].waiter);
    house_wait_for(2);
    assert_number(0, 1);
    assert_number(2, 3);
    ck_assert_uint_eq(house.guests[1].calls, 0);
}
END_TEST

START_TEST(a_full_queue_refuses_at_once)
{
    house_start_up();
    house_join_all(0, HOUSE_MAX_WAITING - 1);
    ck_assert_int_eq(house_join(HOUSE_MAX_WAITING), UV_ENOBUFS);
    ck_assert_uint_eq(metrics_value(house.metrics, VISITS_FULL), 1);
    fake_redis_expect(house.server, EVAL("1 6 0"), "*2\r\n:6\r\n:0\r\n");
    house_wait_for(0);
    ck_assert_uint_eq(house.guests[HOUSE_MAX_WAITING].calls, 0);
}
END_TEST

START_TEST(nobody_waits_for_a_redis_that_is_away)
{
    fake_server_refuse(house.server);
    house_start();
    house_join_all(0, 0);
    house_wait_for(0);
    assert_failed(0, UV_ENOTCONN);
    ck_assert_int_eq(house_join(1), UV_ENOTCONN);
    ck_assert_int_eq(house_join_total(1), UV_ENOTCONN);
    ck_assert(!visits_is_up(house.visits));
    ck_assert(visits_is_settled(house.visits));
}
END_TEST

START_TEST(who_comes_before_the_first_connection_waits_for_it)
{
    fake_redis_expect(house.server, GREETING("0 0 0"), "*2\r\n:0\r\n:0\r\n");
    house_start();
    fake_redis_expect(house.server, EVAL("1 2 0"), "*2\r\n:2\r\n:0\r\n");
    house_join_all(0, 1);
    house_wait_for(1);
    assert_number(0, 1);
    assert_number(1, 2);
}
END_TEST

/* ---- exactly once ---- */

static const struct {
    const char *reply;
    enum fake_then then;
} LOST[] = {
    {"", FAKE_HANG_UP},
    {"", FAKE_RESET},
    {"*2\r\n:2", FAKE_HANG_UP},
    {"*2\r\n:2\r\n:0\r", FAKE_HANG_UP},
    {"-READONLY You can't write\r\n", FAKE_STAY},
    {"-OOM command not allowed\r\n", FAKE_STAY},
    {"-LOADING\r\n", FAKE_STAY},
    {"-NOSCRIPT\r\n", FAKE_STAY},
    {"-STALENESS is something else\r\n", FAKE_STAY},
    {"garbage\r\n", FAKE_STAY},
    {"$-1\r\n", FAKE_STAY},
    {":2\r\n", FAKE_STAY},
    {"+OK\r\n", FAKE_STAY},
    {"*0\r\n", FAKE_STAY},
    {"*1\r\n:2\r\n", FAKE_STAY},
    {"*3\r\n:2\r\n:0\r\n:0\r\n", FAKE_STAY},
    {"*2\r\n$1\r\n2\r\n:0\r\n", FAKE_STAY},
    {"*2\r\n:2\r\n$1\r\n0\r\n", FAKE_STAY},
    {"*2\r\n:2\r\n:-1\r\n", FAKE_STAY},
    {"*2\r\n:2\r\n:4\r\n", FAKE_STAY},
    {"*2\r\n:1\r\n:0\r\n", FAKE_STAY}, /* less than n */
    {"*2\r\n:-2\r\n:0\r\n", FAKE_STAY},
    {"*2\r\n:9007199254740993\r\n:0\r\n", FAKE_STAY},
    {"*2\r\n*1\r\n:2\r\n:0\r\n", FAKE_STAY},
};

/* The same sequence, the same n, although one of the two has left meanwhile. */
START_TEST(a_batch_without_good_answer_is_repeated)
{
    house_start_up();
    fake_server_expect(house.server, &(struct fake_step){.expect = EVAL("1 2 0"),
                                                         .reply = LOST[_i].reply,
                                                         .then = LOST[_i].then});
    fake_redis_expect(house.server, GREETING("1 0 0"), "*2\r\n:2\r\n:0\r\n");
    fake_redis_expect(house.server, EVAL("1 2 2"), "*2\r\n:2\r\n:1\r\n");
    house_join_all(0, 1);
    loop_wait(&house.loop, !visits_is_settled(house.visits));
    visits_leave(house.visits, &house.guests[0].waiter);
    loop_wait(&house.loop, visits_is_settled(house.visits));

    house_wait_for(1);
    if (house.guests[1].status == 0)
        assert_number(1, 2);
    else /* a slow machine: its time was over */
        assert_failed(1, UV_ETIMEDOUT);
    ck_assert_uint_eq(house.guests[0].calls, 0);
    ck_assert_uint_eq(metrics_value(house.metrics, VISIT_BATCHES_REPEATED), 1);
    ck_assert_uint_eq(metrics_value(house.metrics, VISIT_BATCHES_REMEMBERED), 1);
}
END_TEST

START_TEST(a_call_that_hangs_fails_its_visitors_but_is_settled)
{
    house_start_up();
    fake_redis_expect_silence(house.server, EVAL("1 1 0"));
    house_join_all(0, 0);
    house_wait_for(0);
    assert_failed(0, UV_ETIMEDOUT);
    ck_assert(!visits_is_settled(house.visits));

    fake_redis_expect(house.server, GREETING("1 0 0"), "*2\r\n:1\r\n:0\r\n");
    fake_redis_expect(house.server, EVAL("1 1 1"), "*2\r\n:1\r\n:1\r\n");
    loop_wait(&house.loop, visits_is_settled(house.visits));

    fake_redis_expect(house.server, EVAL("2 1 1"), "*2\r\n:2\r\n:0\r\n");
    house_join_all(1, 1);
    house_wait_for(1);
    assert_number(1, 2);
}
END_TEST

START_TEST(who_waits_for_the_next_call_fails_when_the_connection_ends)
{
    house_start_up();
    fake_server_expect(house.server, &(struct fake_step){.expect = EVAL("1 1 0"),
                                                         .reply = "",
                                                         .delay_ms = 30,
                                                         .then = FAKE_HANG_UP});
    fake_redis_expect(house.server, GREETING("1 0 0"), "*2\r\n:0\r\n:0\r\n");
    fake_redis_expect(house.server, EVAL("1 1 0"), "*2\r\n:1\r\n:0\r\n");
    house_join_all(0, 0);
    loop_wait(&house.loop, !visits_is_settled(house.visits));
    house_join_all(1, 1);
    house_wait_for(1);
    assert_failed(1, UV_ENOTCONN);
    ck_assert_uint_eq(house.guests[0].calls, 0);
    loop_wait(&house.loop, visits_is_settled(house.visits));
}
END_TEST

START_TEST(a_stale_batch_is_given_up_under_a_new_name)
{
    house_start_up();
    fake_redis_expect(house.server, EVAL("1 1 0"), "-STALE a later batch was counted already\r\n");
    house_join_all(0, 0);
    house_wait_for(0);
    assert_failed(0, UV_EPROTO);
    ck_assert(visits_is_settled(house.visits));
    ck_assert(visits_is_up(house.visits));

    fake_redis_expect(house.server, EVAL("1 1 0"), "*2\r\n:1\r\n:0\r\n");
    house_join_all(1, 1);
    house_wait_for(1);
    assert_number(1, 1);
    ck_assert_uint_eq(metrics_value(house.metrics, VISIT_BATCHES_STALE), 1);
    const char *first = strstr(fake_server_heard(house.server), VISITS_RECORD);
    const char *last = strstr(strrchr(fake_server_heard(house.server), 'E'), VISITS_RECORD);
    ck_assert_int_ne(strncmp(first, last, sizeof VISITS_RECORD + 30), 0);
}
END_TEST

/* ---- the end ---- */

START_TEST(freed_with_everyone_waiting)
{
    house_start_up();
    fake_redis_expect_silence(house.server, EVAL("1 1 0"));
    fake_redis_expect_silence(house.server, "GET *");
    house_join_all(0, 0);
    ck_assert_int_eq(house_join_total(1), 0);
    loop_wait(&house.loop, fake_server_is_done(house.server));
    house_join_all(2, 2);
    ck_assert_int_eq(house_join_total(3), 0);
    uv_prepare_stop(&house.turn);
    visits_free(house.visits);
    house.visits = NULL;
    for (int i = 0; i < 4; i++)
        assert_failed(i, UV_ECANCELED);
}
END_TEST

START_TEST(the_script_travels_without_comments)
{
    char *script = visits_script();
    ck_assert_ptr_null(strstr(script, "\n--"));
    ck_assert_ptr_null(strstr(script, "\n "));
    ck_assert_ptr_nonnull(strstr(script, "redis.call('SET', KEYS[1]"));
    ck_assert_uint_lt(strlen(script), 1600);
    free(script);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)

int main(void)
{
    Suite *suite = suite_create("visits");
    TCase *cases = tcase_create("visits");
    tcase_add_checked_fixture(cases, house_begin, house_end);
    tcase_set_timeout(cases, 20);
    tcase_add_test(cases, all_who_wait_share_one_call);
    tcase_add_test(cases, who_comes_during_a_call_takes_the_next_and_carries_the_floor);
    tcase_add_test(cases, who_leaves_burns_a_number);
    tcase_add_test(cases, a_full_queue_refuses_at_once);
    tcase_add_test(cases, nobody_waits_for_a_redis_that_is_away);
    tcase_add_test(cases, who_comes_before_the_first_connection_waits_for_it);
    tcase_add_loop_test(cases, a_batch_without_good_answer_is_repeated, 0, ROWS(LOST));
    tcase_add_test(cases, a_call_that_hangs_fails_its_visitors_but_is_settled);
    tcase_add_test(cases, who_waits_for_the_next_call_fails_when_the_connection_ends);
    tcase_add_test(cases, a_stale_batch_is_given_up_under_a_new_name);
    tcase_add_test(cases, freed_with_everyone_waiting);
    tcase_add_test(cases, the_script_travels_without_comments);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
