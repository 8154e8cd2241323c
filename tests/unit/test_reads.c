/* Sharing reads against a real MariaDB: who joins which read, and what a slow one does to them. */
#include "backend/reads.h"
#include "backend/database_uri.h"
#include "backend/metrics.h"
#include "tests/support/net.h"
#include "tests/support/reads_stage.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

START_TEST(the_first_read_asks_by_itself)
{
    reads_stage_open_up(2, 5);
    ck_assert_int_eq(stage.ups, 1);
    ck_assert_int_eq(stage.downs, 0);
    ck_assert_uint_eq(reads_stage_metric(DATABASE_UP), 1);
    ck_assert_uint_eq(reads_stage_metric(DATABASE_CALLS), 1);
    ck_assert_uint_eq(reads_stage_metric(USER_READS), 0);
    reads_stage_close();
}
END_TEST

START_TEST(all_who_wait_share_one_read)
{
    struct visitor v[3] = {visitor(), visitor(), visitor()};
    reads_stage_open_up(2, 5);
    for (int i = 0; i < 3; i++)
        visitor_join(&v[i]);
    for (int i = 0; i < 3; i++) {
        visitor_wait(&v[i]);
        ck_assert_str_eq(v[i].body, BOB);
        free(v[i].body);
    }
    ck_assert_uint_eq(reads_stage_metric(USER_READS), 1);
    ck_assert_uint_eq(reads_stage_metric(DATABASE_CALLS), 2);
    reads_stage_close();
}
END_TEST

START_TEST(who_comes_during_a_read_waits_for_the_next_and_sees_what_changed)
{
    struct visitor first = visitor(), second = visitor();
    reads_stage_open_up(2, 5);
    visitor_join(&first);
    uv_run(&stage.loop, UV_RUN_NOWAIT); /* the read leaves */
    mariadb_run(stage.server, "INSERT INTO users (userName) VALUES ('Jay')");
    visitor_join(&second);
    visitor_wait(&first);
    ck_assert_int_eq(second.answers, 0);
    visitor_wait(&second);
    ck_assert_str_eq(second.body, "[{\"userName\":\"Bob\"},{\"userName\":\"Jay\"}]\n");
    ck_assert_uint_eq(reads_stage_metric(USER_READS), 2);
    free(first.body);
    free(second.body);
    reads_stage_close();
}
END_TEST

START_TEST(more_than_may_wait_are_refused)
{
    struct visitor v[READS_STAGE_WAITING + 1];
    reads_stage_open_up(1, 5);
    for (int i = 0; i <= READS_STAGE_WAITING; i++) {
        v[i] = visitor();
        ck_assert_int_eq(reads_join(stage.reads, &v[i].waiter),
                         i < READS_STAGE_WAITING ? 0 : UV_ENOBUFS);
    }
    visitor_wait(&v[0]);
    ck_assert_int_eq(v[READS_STAGE_WAITING].answers, 0);
    ck_assert_uint_eq(reads_stage_metric(WAITING_FULL), 1);
    for (int i = 0; i < READS_STAGE_WAITING; i++)
        free(v[i].body);
    reads_stage_close();
}
END_TEST

/* A connection of the administrator that keeps everybody from reading, until store_close. */
static struct store *lock_users(struct database *admin)
{
    struct store_options options = {.database = admin, .timeout_s = 20};
    struct store *locker;
    char why[STORE_REASON];
    ck_assert_ptr_null(database_uri_parse(stage.server->root_uri, admin));
    ck_assert_int_eq(store_open(&options, &locker, why), 0);
    ck_assert_int_eq(store_execute(locker, "LOCK TABLES users WRITE", why), 0);
    return locker;
}

START_TEST(who_leaves_is_not_told)
{
    struct visitor stays = visitor(), leaves = visitor(), goes = visitor();
    struct database admin = {.ca_file = ""};
    reads_stage_open_up(1, 5);
    struct store *locker = lock_users(&admin); /* the read is under way until it is closed */
    visitor_join(&leaves);
    visitor_join(&stays);
    visitor_join(&goes);
    reads_leave(stage.reads, &leaves.waiter);
    uv_run(&stage.loop, UV_RUN_NOWAIT);
    reads_leave(stage.reads, &goes.waiter);
    store_close(locker);
    visitor_wait(&stays);
    ck_assert_int_eq(leaves.answers + goes.answers, 0);
    free(stays.body);
    database_done(&admin);
    reads_stage_close();
}
END_TEST

START_TEST(users_beyond_the_bound_are_left_out_and_counted)
{
    reads_stage_open_up(1, 5);
    mariadb_run(stage.server, "INSERT INTO users (userName) VALUES ('Jay'), ('Matt')");
    ck_assert_int_eq(visitor_visit("[{\"userName\":\"Bob\"},{\"userName\":\"Jay\"}]\n"), 0);
    ck_assert_uint_eq(reads_stage_metric(USERS_LEFT_OUT), 1);
    reads_stage_close();
}
END_TEST

START_TEST(a_missing_table_is_told_and_its_return_noticed)
{
    reads_stage_open_up(1, 5);
    mariadb_run(stage.server, "RENAME TABLE users TO gone");
    ck_assert_int_eq(visitor_visit(NULL), UV_EPROTO);
    ck_assert_int_eq(stage.downs, 1);
    ck_assert_ptr_nonnull(strstr(stage.reason, "1146"));
    ck_assert_uint_eq(reads_stage_metric(DATABASE_UP), 0);
    mariadb_run(stage.server, "RENAME TABLE gone TO users");
    reads_stage_wait_up(); /* nobody asks: it finds out by itself */
    ck_assert_int_eq(stage.ups, 2);
    reads_stage_close();
}
END_TEST

START_TEST(connections_closed_by_the_server_are_not_noticed_by_anyone)
{
    reads_stage_open_up(1, 5);
    mariadb_run(stage.server, "SET @id = (SELECT MIN(id) FROM information_schema.processlist "
                              "WHERE user = 'tally'); EXECUTE IMMEDIATE CONCAT('KILL ', @id)");
    ck_assert_int_eq(visitor_visit(BOB), 0);
    ck_assert_uint_eq(reads_stage_metric(DATABASE_STALE), 1);
    ck_assert_int_eq(stage.downs, 0);
    reads_stage_close();
}
END_TEST

START_TEST(a_locked_table_is_given_up_and_the_next_read_takes_another_connection)
{
    struct visitor hung = visitor(), next = visitor();
    struct database admin = {.ca_file = ""};
    reads_stage_open_up(2, 1);
    struct store *locker = lock_users(&admin);
    unsigned long long since = now_ms();
    visitor_join(&hung);
    while (now_ms() - since < 500) {
        uv_run(&stage.loop, UV_RUN_NOWAIT);
        pause_ms(2);
    }
    visitor_join(&next);
    visitor_wait(&hung);
    ck_assert_int_ne(hung.status, 0);
    ck_assert_uint_lt(now_ms() - since, 1400);
    ck_assert_int_eq(next.answers, 0);
    store_close(locker);
    visitor_wait(&next);
    ck_assert_int_eq(next.status, 0);
    ck_assert_str_eq(next.body, BOB);
    free(next.body);
    database_done(&admin);
    reads_stage_close();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("reads");
    TCase *t = tcase_create("shared server");
    tcase_set_timeout(t, 60);
    tcase_add_unchecked_fixture(t, reads_stage_start_server, reads_stage_stop_server);
    tcase_add_test(t, the_first_read_asks_by_itself);
    tcase_add_test(t, all_who_wait_share_one_read);
    tcase_add_test(t, who_comes_during_a_read_waits_for_the_next_and_sees_what_changed);
    tcase_add_test(t, more_than_may_wait_are_refused);
    tcase_add_test(t, who_leaves_is_not_told);
    tcase_add_test(t, users_beyond_the_bound_are_left_out_and_counted);
    tcase_add_test(t, a_missing_table_is_told_and_its_return_noticed);
    tcase_add_test(t, connections_closed_by_the_server_are_not_noticed_by_anyone);
    tcase_add_test(t, a_locked_table_is_given_up_and_the_next_read_takes_another_connection);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
