/* The visit counter against a scripted Redis: the greeting, the floor, reading the total. */
#include "frontend/visits.h"
#include "frontend/metrics.h"
#include "tests/support/fake_redis.h"
#include "tests/support/loop.h"
#include "tests/support/suite.h"
#include "tests/support/visits_house.h"
#include <stdlib.h>
#include <string.h>

/* ---- the greeting and the floor ---- */

START_TEST(the_floor_is_announced_before_the_first_visit)
{
    house.floor_seen = 500;
    fake_redis_expect(house.server, GREETING("0 0 500"), "*2\r\n:500\r\n:2\r\n");
    house_start_up();
    ck_assert_uint_eq(metrics_value(house.metrics, FLOOR_NEEDED), 1);
    ck_assert_ptr_null(strstr(fake_server_heard(house.server), " 1 "));
}
END_TEST

START_TEST(the_greeting_raises_the_floor)
{
    fake_redis_expect(house.server, GREETING("0 0 0"), "*2\r\n:900\r\n:0\r\n");
    house_start_up();
    ck_assert_int_eq(house.floor_seen, 900);
    ck_assert_uint_eq(metrics_value(house.metrics, FLOOR_NEEDED), 0);
}
END_TEST

START_TEST(the_floor_never_sinks)
{
    house.floor_seen = 500;
    fake_redis_expect(house.server, GREETING("0 0 500"), "*2\r\n:20\r\n:0\r\n");
    house_start_up();
    ck_assert_int_eq(house.floor_seen, 500);
}
END_TEST

static const char *const GREETINGS[] = {
    "-READONLY You can't write against a read only replica.\r\n",
    "-NOPERM\r\n",
    "+OK\r\n",
    "*2\r\n:-1\r\n:0\r\n",
    "",
};

START_TEST(a_server_that_cannot_count_is_not_up)
{
    fake_redis_expect(house.server, GREETING("0 0 0"), GREETINGS[_i]);
    house_start();
    loop_wait(&house.loop, metrics_value(house.metrics, REDIS_FAILURES) == 1);
    ck_assert(!visits_is_up(house.visits));
    ck_assert_int_eq(house_join(0), UV_ENOTCONN);
    loop_wait(&house.loop, visits_is_up(house.visits));
}
END_TEST

static const char *const NAMES[] = {
    "-NOPERM this user has no permissions to run the 'script|load' command\r\n",
    "$5\r\nshort\r\n",
    "$-1\r\n",
    ":1\r\n",
};

START_TEST(a_server_that_does_not_name_the_script_is_not_up)
{
    fake_redis_expect(house.server, "SCRIPT LOAD *", NAMES[_i]);
    house_start();
    loop_wait(&house.loop, metrics_value(house.metrics, REDIS_FAILURES) == 1);
    ck_assert(!visits_is_up(house.visits));
    loop_wait(&house.loop, visits_is_up(house.visits));
}
END_TEST

/* ---- the total ---- */

static const struct {
    const char *reply;
    int64_t floor, total;
} TOTALS[] = {
    {"$2\r\n42\r\n", 0, 42},
    {"$-1\r\n", 0, 0},
    {"$1\r\n5\r\n", 100, 100},
    {"$16\r\n9007199254740991\r\n", 0, INT64_C(9007199254740991)},
};

START_TEST(the_total_is_read)
{
    house.floor_seen = TOTALS[_i].floor;
    house_start_up();
    fake_redis_expect(house.server, "GET {tally}:visits", TOTALS[_i].reply);
    ck_assert_int_eq(house_join_total(0), 0);
    ck_assert_int_eq(house_join_total(1), 0);
    house_wait_for(1);
    assert_number(0, TOTALS[_i].total);
    assert_number(1, TOTALS[_i].total);
    ck_assert_int_eq(house.floor_seen, TOTALS[_i].total);
}
END_TEST

static const char *const NO_TOTALS[] = {
    "-WRONGTYPE\r\n",
    ":5\r\n",
    "*0\r\n",
    "$0\r\n\r\n",
    "$2\r\n-1\r\n",
    "$3\r\n1e3\r\n",
    "$3\r\n 12\r\n",
    "$17\r\n99999999999999999\r\n",
    "$16\r\n9007199254740993\r\n",
};

START_TEST(a_total_that_is_none_is_an_error)
{
    house_start_up();
    fake_redis_expect(house.server, "GET *", NO_TOTALS[_i]);
    ck_assert_int_eq(house_join_total(0), 0);
    house_wait_for(0);
    assert_failed(0, UV_EPROTO);
    ck_assert(visits_is_up(house.visits));
    ck_assert_int_eq(house.floor_seen, 0);
}
END_TEST

START_TEST(a_total_lost_with_the_connection_is_told)
{
    house_start_up();
    fake_redis_expect_hang_up(house.server, "GET *", "$5\r\n1");
    ck_assert_int_eq(house_join_total(0), 0);
    house_wait_for(0);
    assert_failed(0, UV_ECONNRESET);
}
END_TEST

START_TEST(who_leaves_the_total_is_not_told)
{
    house_start_up();
    fake_redis_expect(house.server, "GET *", "$1\r\n1\r\n");
    ck_assert_int_eq(house_join_total(0), 0);
    ck_assert_int_eq(house_join_total(1), 0);
    visits_leave_total(house.visits, &house.guests[0].waiter);
    house_wait_for(1);
    ck_assert_uint_eq(house.guests[0].calls, 0);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)

int main(void)
{
    Suite *suite = suite_create("visits_total");
    TCase *cases = tcase_create("visits_total");
    tcase_add_checked_fixture(cases, house_begin, house_end);
    tcase_set_timeout(cases, 20);
    tcase_add_test(cases, the_floor_is_announced_before_the_first_visit);
    tcase_add_test(cases, the_greeting_raises_the_floor);
    tcase_add_test(cases, the_floor_never_sinks);
    tcase_add_loop_test(cases, a_server_that_cannot_count_is_not_up, 0, ROWS(GREETINGS));
    tcase_add_loop_test(cases, a_server_that_does_not_name_the_script_is_not_up, 0, ROWS(NAMES));
    tcase_add_loop_test(cases, the_total_is_read, 0, ROWS(TOTALS));
    tcase_add_loop_test(cases, a_total_that_is_none_is_an_error, 0, ROWS(NO_TOTALS));
    tcase_add_test(cases, a_total_lost_with_the_connection_is_told);
    tcase_add_test(cases, who_leaves_the_total_is_not_told);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
