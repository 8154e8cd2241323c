/* Sharing reads against a real MariaDB: who joins which read, and what a dead or frozen database
 * does to those who wait. */
#include "backend/reads.h"
#include "backend/database_uri.h"
#include "backend/metrics.h"
#include "backend/store.h"
#include "lib/mem.h"
#include "tests/support/mariadb.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 20000, MAX_WAITING = 3 };

#define BOB "[{\"userName\":\"Bob\"}]\n"

/* ---- the stage ---- */

struct visitor {
    struct batch_waiter waiter;
    int answers, status;
    char *body;
};

static char *directory;
static struct mariadb *server;
static struct database database;
static uv_loop_t loop;
static uv_prepare_t turn;
static uv_timer_t patience;
static struct metrics *metrics;
static struct reads *reads;
static int ups, downs;
static char last_reason[STORE_REASON];

static void server_start(void)
{
    directory = directory_new("reads");
    server = mariadb_new(directory);
}

static void server_stop(void)
{
    mariadb_free(server);
    free(directory);
}

static void fill(void)
{
    mariadb_run(server, "DROP TABLE IF EXISTS users;"
                        "CREATE TABLE users (id BIGINT AUTO_INCREMENT PRIMARY KEY,"
                        " userName VARCHAR(255) NOT NULL) CHARACTER SET utf8mb4;"
                        "INSERT INTO users (userName) VALUES ('Bob')");
}

static void on_state(bool up, const char *reason, void *context)
{
    ck_assert_ptr_eq(context, &loop);
    ups += up;
    downs += !up;
    snprintf(last_reason, sizeof last_reason, "%s", up ? "" : reason);
}

static void on_turn(uv_prepare_t *prepare)
{
    (void)prepare;
    reads_flush(reads);
}

static void on_patience(uv_timer_t *timer)
{
    (void)timer;
    ck_abort_msg("what was waited for did not happen; last reason: %s", last_reason);
}

static void start(unsigned pool_size, unsigned timeout_s)
{
    store_library_init();
    ck_assert_ptr_null(database_uri_parse(server->uri, &database));
    database.ca_file = "";
    metrics = metrics_new(backend_metrics, BACKEND_METRICS);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    uv_prepare_init(&loop, &turn);
    uv_prepare_start(&turn, on_turn);
    uv_timer_init(&loop, &patience);
    uv_timer_start(&patience, on_patience, PATIENCE_MS, 0);
    struct reads_options o = {.loop = &loop,
                              .database = &database,
                              .pool_size = pool_size,
                              .timeout_s = timeout_s,
                              .max_waiting = MAX_WAITING,
                              .max_users = 2,
                              .metrics = metrics,
                              .on_state = on_state,
                              .context = &loop};
    reads = reads_new(&o);
}

static void wait_up(void)
{
    while (!reads_is_up(reads))
        uv_run(&loop, UV_RUN_ONCE);
}

static void start_up(unsigned pool_size, unsigned timeout_s)
{
    fill();
    start(pool_size, timeout_s);
    wait_up();
}

static void stop(void)
{
    reads_free(reads);
    uv_close((uv_handle_t *)&turn, NULL);
    uv_close((uv_handle_t *)&patience, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    metrics_free(metrics);
    database_done(&database);
    store_library_done();
}

static void on_done(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)index;
    struct visitor *v = CONTAINER_OF(waiter, struct visitor, waiter);
    size_t length = 0;
    v->answers++;
    v->status = status;
    v->body = status ? NULL : reads_body(result, &length);
    ck_assert_uint_eq(length, v->body ? strlen(v->body) : 0);
}

static struct visitor visitor(void)
{
    return (struct visitor){.waiter = {.on_done = on_done}};
}

static void must_join(struct visitor *v)
{
    ck_assert_int_eq(reads_join(reads, &v->waiter), 0);
}

static void wait_answer(const struct visitor *v)
{
    while (!v->answers)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(v->answers, 1);
}

/* Joins, now or as soon as a connection may be tried, and waits for the end. */
static int visit(const char *expected)
{
    struct visitor v = visitor();
    int status;
    while ((status = reads_join(reads, &v.waiter)) == UV_ENOTCONN)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(status, 0);
    wait_answer(&v);
    if (v.status == 0)
        ck_assert_str_eq(v.body, expected);
    free(v.body);
    return v.status;
}

static uint64_t metric(size_t id)
{
    return metrics_value(metrics, id);
}

/* ---- a database that answers ---- */

START_TEST(the_first_read_asks_by_itself)
{
    start_up(2, 5);
    ck_assert_int_eq(ups, 1);
    ck_assert_int_eq(downs, 0);
    ck_assert_uint_eq(metric(DATABASE_UP), 1);
    ck_assert_uint_eq(metric(DATABASE_CALLS), 1);
    ck_assert_uint_eq(metric(USER_READS), 0);
    stop();
}
END_TEST

START_TEST(all_who_wait_share_one_read)
{
    struct visitor v[3] = {visitor(), visitor(), visitor()};
    start_up(2, 5);
    for (int i = 0; i < 3; i++)
        must_join(&v[i]);
    for (int i = 0; i < 3; i++) {
        wait_answer(&v[i]);
        ck_assert_str_eq(v[i].body, BOB);
        free(v[i].body);
    }
    ck_assert_uint_eq(metric(USER_READS), 1);
    ck_assert_uint_eq(metric(DATABASE_CALLS), 2);
    stop();
}
END_TEST

START_TEST(who_comes_during_a_read_waits_for_the_next_and_sees_what_changed)
{
    struct visitor first = visitor(), second = visitor();
    start_up(2, 5);
    must_join(&first);
    uv_run(&loop, UV_RUN_NOWAIT); /* the read leaves */
    mariadb_run(server, "INSERT INTO users (userName) VALUES ('Jay')");
    must_join(&second);
    wait_answer(&first);
    ck_assert_int_eq(second.answers, 0);
    wait_answer(&second);
    ck_assert_str_eq(second.body, "[{\"userName\":\"Bob\"},{\"userName\":\"Jay\"}]\n");
    ck_assert_uint_eq(metric(USER_READS), 2);
    free(first.body);
    free(second.body);
    stop();
}
END_TEST

START_TEST(more_than_may_wait_are_refused)
{
    struct visitor v[MAX_WAITING + 1];
    start_up(1, 5);
    for (int i = 0; i <= MAX_WAITING; i++) {
        v[i] = visitor();
        ck_assert_int_eq(reads_join(reads, &v[i].waiter), i < MAX_WAITING ? 0 : UV_ENOBUFS);
    }
    wait_answer(&v[0]);
    ck_assert_int_eq(v[MAX_WAITING].answers, 0);
    ck_assert_uint_eq(metric(WAITING_FULL), 1);
    for (int i = 0; i < MAX_WAITING; i++)
        free(v[i].body);
    stop();
}
END_TEST

START_TEST(who_leaves_is_not_told)
{
    struct visitor stays = visitor(), leaves = visitor(), goes = visitor();
    start_up(1, 5);
    must_join(&leaves);
    must_join(&stays);
    must_join(&goes);
    reads_leave(reads, &leaves.waiter);
    uv_run(&loop, UV_RUN_NOWAIT);
    reads_leave(reads, &goes.waiter);
    wait_answer(&stays);
    ck_assert_int_eq(leaves.answers + goes.answers, 0);
    free(stays.body);
    stop();
}
END_TEST

START_TEST(users_beyond_the_bound_are_left_out_and_counted)
{
    start_up(1, 5);
    mariadb_run(server, "INSERT INTO users (userName) VALUES ('Jay'), ('Matt')");
    ck_assert_int_eq(visit("[{\"userName\":\"Bob\"},{\"userName\":\"Jay\"}]\n"), 0);
    ck_assert_uint_eq(metric(USERS_LEFT_OUT), 1);
    stop();
}
END_TEST

START_TEST(a_missing_table_is_told_and_its_return_noticed)
{
    start_up(1, 5);
    mariadb_run(server, "RENAME TABLE users TO gone");
    ck_assert_int_eq(visit(NULL), UV_EPROTO);
    ck_assert_int_eq(downs, 1);
    ck_assert_ptr_nonnull(strstr(last_reason, "1146"));
    ck_assert_uint_eq(metric(DATABASE_UP), 0);
    mariadb_run(server, "RENAME TABLE gone TO users");
    wait_up(); /* nobody asks: it finds out by itself */
    ck_assert_int_eq(ups, 2);
    stop();
}
END_TEST

START_TEST(connections_closed_by_the_server_are_not_noticed_by_anyone)
{
    start_up(1, 5);
    mariadb_run(server, "SET @id = (SELECT MIN(id) FROM information_schema.processlist "
                        "WHERE user = 'tally'); EXECUTE IMMEDIATE CONCAT('KILL ', @id)");
    ck_assert_int_eq(visit(BOB), 0);
    ck_assert_uint_eq(metric(DATABASE_STALE), 1);
    ck_assert_int_eq(downs, 0);
    stop();
}
END_TEST

/* ---- a database that does not ---- */

START_TEST(a_locked_table_is_given_up_and_the_next_read_takes_another_connection)
{
    struct visitor hung = visitor(), next = visitor();
    struct database admin = {.ca_file = ""};
    struct store_options so = {.database = &admin, .timeout_s = 20};
    struct store *locker;
    char why[STORE_REASON];
    start_up(2, 1);
    ck_assert_ptr_null(database_uri_parse(server->root_uri, &admin));
    ck_assert_int_eq(store_open(&so, &locker, why), 0);
    ck_assert_int_eq(store_execute(locker, "LOCK TABLES users WRITE", why), 0);
    unsigned long long since = now_ms();
    must_join(&hung);
    while (now_ms() - since < 500) {
        uv_run(&loop, UV_RUN_NOWAIT);
        pause_ms(2);
    }
    must_join(&next);
    wait_answer(&hung);
    ck_assert_int_ne(hung.status, 0);
    ck_assert_uint_lt(now_ms() - since, 1400);
    ck_assert_int_eq(next.answers, 0);
    store_close(locker);
    wait_answer(&next);
    ck_assert_int_eq(next.status, 0);
    ck_assert_str_eq(next.body, BOB);
    free(next.body);
    database_done(&admin);
    stop();
}
END_TEST

START_TEST(a_killed_server_is_told_at_once_and_its_return_noticed)
{
    struct visitor refused = visitor();
    start_up(2, 5);
    mariadb_kill(server);
    unsigned long long since = now_ms();
    ck_assert_int_ne(visit(NULL), 0);
    ck_assert_int_eq(reads_join(reads, &refused.waiter), UV_ENOTCONN);
    ck_assert_uint_lt(now_ms() - since, 1000);
    ck_assert_int_eq(downs, 1);
    mariadb_start(server);
    wait_up();
    ck_assert_int_eq(visit(BOB), 0);
    ck_assert_int_eq(ups, 2);
    stop();
}
END_TEST

START_TEST(a_server_that_is_away_at_the_start_is_no_end)
{
    fill();
    mariadb_kill(server);
    start(2, 5);
    while (!downs)
        uv_run(&loop, UV_RUN_ONCE);
    mariadb_start(server);
    ck_assert_int_eq(visit(BOB), 0);
    ck_assert_int_eq(ups, 1);
    stop();
}
END_TEST

START_TEST(a_frozen_server_costs_a_visitor_no_more_than_the_deadline)
{
    start_up(2, 1);
    process_freeze(server->process);
    unsigned long long since = now_ms();
    ck_assert_int_ne(visit(NULL), 0);
    ck_assert_uint_ge(now_ms() - since, 900);
    ck_assert_uint_lt(now_ms() - since, 1900);
    while (!downs)
        uv_run(&loop, UV_RUN_ONCE);
    process_thaw(server->process);
    wait_up();
    ck_assert_int_eq(visit(BOB), 0);
    stop();
}
END_TEST

START_TEST(leaving_waits_for_a_read_that_was_given_up)
{
    struct visitor hung = visitor();
    start_up(1, 1);
    process_freeze(server->process);
    must_join(&hung);
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert(!reads_is_settled(reads));
    reads_leave(reads, &hung.waiter);
    unsigned long long since = now_ms();
    stop(); /* loop and library are closed, within the library's time-out */
    ck_assert_uint_lt(now_ms() - since, 5000);
    ck_assert_int_eq(hung.answers, 0);
    process_thaw(server->process);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("reads");
    TCase *t = tcase_create("shared server");
    tcase_set_timeout(t, 60);
    tcase_add_unchecked_fixture(t, server_start, server_stop);
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
    t = tcase_create("own server");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, server_start, server_stop);
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
