/* Sharing reads while the database dies, freezes and returns: each test has a server of its own. */
#include "backend/reads.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/reads_stage.h"
#include "tests/support/suite.h"

START_TEST(a_killed_server_is_told_at_once_and_its_return_noticed)
{
    struct visitor refused = visitor();
    reads_stage_open_up(2, 5);
    mariadb_kill(stage.server);
    unsigned long long since = now_ms();
    ck_assert_int_ne(visitor_visit(NULL), 0);
    ck_assert_int_eq(reads_join(stage.reads, &refused.waiter), UV_ENOTCONN);
    ck_assert_uint_lt(now_ms() - since, 1000);
    ck_assert_int_eq(stage.downs, 1);
    mariadb_start(stage.server);
    reads_stage_wait_up();
    ck_assert_int_eq(visitor_visit(BOB), 0);
    ck_assert_int_eq(stage.ups, 2);
    reads_stage_close();
}
END_TEST

START_TEST(a_server_that_is_away_at_the_start_is_no_end)
{
    reads_stage_fill();
    mariadb_kill(stage.server);
    reads_stage_open(2, 5);
    while (!stage.downs)
        uv_run(&stage.loop, UV_RUN_ONCE);
    mariadb_start(stage.server);
    ck_assert_int_eq(visitor_visit(BOB), 0);
    ck_assert_int_eq(stage.ups, 1);
    reads_stage_close();
}
END_TEST

START_TEST(a_frozen_server_costs_a_visitor_no_more_than_the_deadline)
{
    reads_stage_open_up(2, 1);
    process_freeze(stage.server->process);
    unsigned long long since = now_ms();
    ck_assert_int_ne(visitor_visit(NULL), 0);
    ck_assert_uint_ge(now_ms() - since, 900);
    ck_assert_uint_lt(now_ms() - since, 1900);
    while (!stage.downs)
        uv_run(&stage.loop, UV_RUN_ONCE);
    process_thaw(stage.server->process);
    reads_stage_wait_up();
    ck_assert_int_eq(visitor_visit(BOB), 0);
    reads_stage_close();
}
END_TEST

START_TEST(leaving_waits_for_a_read_that_was_given_up)
{
    struct visitor hung = visitor();
    reads_stage_open_up(1, 1);
    process_freeze(stage.server->process);
    visitor_join(&hung);
    uv_run(&stage.loop, UV_RUN_NOWAIT);
    ck_assert(!reads_is_settled(stage.reads));
    reads_leave(stage.reads, &hung.waiter);
    unsigned long long since = now_ms();
    reads_stage_close(); /* loop and library are closed, within the library's time-out */
    ck_assert_uint_lt(now_ms() - since, 5000);
    ck_assert_int_eq(hung.answers, 0);
    process_thaw(stage.server->process);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("reads_down");
    TCase *t = tcase_create("own server");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, reads_stage_start_server, reads_stage_stop_server);
    tcase_add_test(t, a_killed_server_is_told_at_once_and_its_return_noticed);
    tcase_add_test(t, a_server_that_is_away_at_the_start_is_no_end);
    tcase_add_test(t, a_frozen_server_costs_a_visitor_no_more_than_the_deadline);
    tcase_add_test(t, leaving_waits_for_a_read_that_was_given_up);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
