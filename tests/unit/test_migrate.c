/* --migrate and --seed against a real MariaDB: from nothing, from the predecessors' table, again,
 * and two at once. */
#include "backend/migrate.h"
#include "backend/database_uri.h"
#include "backend/store.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "tests/support/mariadb.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define NAMES "SELECT GROUP_CONCAT(userName ORDER BY id) FROM users"
#define SEEDED "Bob,Jay,Matt,Ferg,Mo"

static char *directory;
static struct mariadb *server;
static struct database admin, application;
static struct buf said;
static char *reason;

static void server_start(void)
{
    directory = directory_new("migrate");
    server = mariadb_new(directory);
}

static void server_stop(void)
{
    mariadb_free(server);
    free(directory);
}

static struct database parse(const char *login, const char *name)
{
    struct database db = {.ca_file = ""};
    char *uri = xasprintf("mysql://%s@127.0.0.1:%d/%s", login, server->port, name);
    const char *wrong = database_uri_parse(uri, &db);
    ck_assert_msg(!wrong, "%s", wrong);
    free(uri);
    return db;
}

static void test_start(void)
{
    store_library_init();
    mariadb_run(server, "DROP TABLE IF EXISTS users; DROP DATABASE IF EXISTS `a_``b`;"
                        "DROP USER IF EXISTS 'app''x\\\\'@'%', 'poor'@'%'");
    admin = parse("root:root", "tally");
    application = parse("app%27x%5C:p%27%5C%22w", "tally");
}

static void test_stop(void)
{
    database_done(&admin);
    database_done(&application);
    buf_done(&said);
    free(reason);
    store_library_done();
}

static int run(bool schema, bool seed, const struct database *app)
{
    struct migrate_options o = {
        .admin = &admin, .application = app, .timeout_s = 10, .schema = schema, .seed = seed};
    free(reason);
    reason = NULL;
    buf_clear(&said);
    int status = migrate_run(&o, &said, &reason);
    ck_assert_int_eq(status == 0, reason == NULL);
    return status;
}

static void must_run(bool schema, bool seed, const struct database *app)
{
    ck_assert_msg(run(schema, seed, app) == 0, "%s", reason);
}

static void assert_answer(const char *sql, const char *expected)
{
    char *is = mariadb_ask(server, sql);
    ck_assert_msg(is && strcmp(is, expected) == 0, "%s: %s", sql, is ? is : "NULL");
    free(is);
}

static int try_as(const struct database *db, const char *sql)
{
    struct store_options o = {.database = db, .timeout_s = 5};
    struct store *store = NULL;
    char why[STORE_REASON];
    int status = store_open(&o, &store, why);
    ck_assert_msg(status == 0, "%s", why);
    status = store_execute(store, sql, why);
    store_close(store);
    return status;
}

START_TEST(an_empty_database_gets_tables_and_users)
{
    must_run(true, true, NULL);
    assert_answer(NAMES, SEEDED);
    assert_answer("SELECT MIN(id) FROM users", "1");
    ck_assert_str_eq(said.data, "the tables are up to date\nthe first users are there\n");
}
END_TEST

START_TEST(it_can_be_repeated)
{
    must_run(true, true, &application);
    must_run(true, true, &application);
    assert_answer(NAMES, SEEDED);
    ck_assert_ptr_nonnull(strstr(said.data, "nothing is added"));
}
END_TEST

START_TEST(seeding_leaves_a_table_with_users_alone)
{
    must_run(true, false, NULL);
    mariadb_run(server, "INSERT INTO users (userName) VALUES ('Zo\xC3\xAB')");
    must_run(false, true, NULL);
    assert_answer(NAMES, "Zo\xC3\xAB");
}
END_TEST

START_TEST(seeding_alone_needs_the_table)
{
    ck_assert_int_eq(run(false, true, NULL), UV_EPROTO);
    ck_assert_ptr_nonnull(strstr(reason, "cannot add the first users"));
}
END_TEST

START_TEST(the_predecessors_table_is_expanded)
{
    mariadb_run(server, "CREATE TABLE users (userName VARCHAR(30));"
                        "INSERT INTO users VALUES ('Mo'), ('Bob'), ('Mo')");
    must_run(true, true, NULL);
    must_run(true, true, NULL);
    assert_answer(NAMES, "Mo,Bob,Mo");
    mariadb_run(server, "INSERT INTO users (userName) VALUES ('Jay')");
    assert_answer(NAMES, "Mo,Bob,Mo,Jay");
}
END_TEST

START_TEST(a_predecessors_table_with_a_key_keeps_it)
{
    mariadb_run(server, "CREATE TABLE users (userName VARCHAR(30) PRIMARY KEY);"
                        "INSERT INTO users VALUES ('Bob')");
    must_run(true, false, NULL);
    assert_answer(NAMES, "Bob");
    ck_assert_int_eq(try_as(&admin, "INSERT INTO users (userName) VALUES ('Bob')"), UV_EPROTO);
}
END_TEST

START_TEST(another_table_of_that_name_is_not_touched)
{
    mariadb_run(server, "CREATE TABLE users (id INT, login TEXT)");
    ck_assert_int_eq(run(true, true, NULL), UV_EPROTO);
    ck_assert_ptr_nonnull(strstr(reason, "cannot bring the tables up to date"));
    assert_answer("SELECT COUNT(*) FROM information_schema.columns "
                  "WHERE table_schema = 'tally' AND table_name = 'users'",
                  "2");
}
END_TEST

START_TEST(the_applications_user_reads_and_nothing_else)
{
    static const char *const forbidden[] = {"ALTER TABLE users ADD COLUMN x INT",
                                            "DROP TABLE users",
                                            "DELETE FROM users",
                                            "CREATE TABLE more (x INT)",
                                            "UPDATE users SET userName = 'x'",
                                            "INSERT INTO users (userName) VALUES ('x')"};
    must_run(true, true, &application);
    ck_assert_int_eq(try_as(&application, "SELECT userName FROM users"), 0);
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        ck_assert_msg(try_as(&application, forbidden[i]) == UV_EACCES, "%s", forbidden[i]);
    assert_answer(NAMES, SEEDED);
}
END_TEST

START_TEST(a_new_password_replaces_the_old_one)
{
    must_run(true, false, &application);
    free(application.password);
    application.password = xstrdup("another");
    must_run(true, false, &application);
    ck_assert_int_eq(try_as(&application, "SELECT 1"), 0);
}
END_TEST

START_TEST(who_migrates_is_never_the_user_that_is_changed)
{
    struct database same = parse("root:other", "tally");
    must_run(true, false, &same);
    ck_assert_ptr_nonnull(strstr(said.data, "left as it is"));
    ck_assert_int_eq(try_as(&admin, "SELECT 1"), 0);
    assert_answer("SELECT COUNT(*) FROM mysql.user WHERE user = 'root' AND host = '%'", "0");
    database_done(&same);
}
END_TEST

START_TEST(a_missing_database_is_created_whatever_its_name)
{
    free(admin.name);
    admin.name = xstrdup("a_`b");
    free(application.name);
    application.name = xstrdup("a_`b");
    must_run(true, true, &application);
    must_run(true, true, &application);
    ck_assert_int_eq(try_as(&application, "SELECT userName FROM users"), 0);
    assert_answer("SELECT COUNT(*) FROM `a_``b`.users", "5");
}
END_TEST

START_TEST(who_may_not_create_is_told_so)
{
    mariadb_run(server, "CREATE USER 'poor'@'%' IDENTIFIED BY 's3cr3t'");
    database_done(&admin);
    admin = parse("poor:s3cr3t", "tally");
    ck_assert_int_eq(run(true, true, NULL), UV_EACCES);
    ck_assert_msg(strstr(reason, "cannot use the database: Access denied") != NULL, "%s", reason);
    ck_assert_int_eq(run(false, true, NULL), UV_EACCES);
    ck_assert_ptr_null(strstr(reason, "s3cr3t"));
}
END_TEST

START_TEST(a_wrong_password_is_told_at_once)
{
    unsigned long long since = now_ms();
    free(admin.password);
    admin.password = xstrdup("s3cr3t");
    ck_assert_int_eq(run(true, true, NULL), UV_EACCES);
    ck_assert_ptr_nonnull(strstr(reason, "cannot reach the database"));
    ck_assert_ptr_null(strstr(reason, "s3cr3t"));
    ck_assert_uint_lt(now_ms() - since, 5000);
}
END_TEST

/* ---- two at once ---- */

static void *migrate_beside(void *ret_status)
{
    struct migrate_options o = {.admin = &admin,
                                .application = &application,
                                .timeout_s = 10,
                                .schema = true,
                                .seed = true};
    struct buf words = {0};
    char *why = NULL;
    store_thread_init();
    *(int *)ret_status = migrate_run(&o, &words, &why);
    store_thread_done();
    buf_done(&words);
    free(why);
    return NULL;
}

START_TEST(many_at_once_do_it_once)
{
    pthread_t threads[6];
    int status[6];
    mariadb_run(server, "CREATE TABLE users (userName VARCHAR(30))");
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, migrate_beside, &status[i]), 0);
    for (size_t i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(status[i], 0);
    }
    assert_answer(NAMES, SEEDED);
}
END_TEST

START_TEST(a_lock_that_is_held_is_not_waited_for_without_end)
{
    struct store_options so = {.database = &admin, .timeout_s = 5};
    struct migrate_options mo = {.admin = &admin, .timeout_s = 2, .schema = true};
    struct store *holder;
    char why[STORE_REASON];
    int64_t got = 0;
    ck_assert_int_eq(store_open(&so, &holder, why), 0);
    ck_assert_int_eq(store_ask_number(holder, "SELECT GET_LOCK('tally.migrate', 0)", &got, why), 0);
    ck_assert_int_eq(migrate_run(&mo, &said, &reason), UV_ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(reason, "another migration"));
    store_close(holder);
}
END_TEST

/* ---- a server that comes late, or never ---- */

static void own_start(void)
{
    server_start();
    test_start();
}

static void own_stop(void)
{
    test_stop();
    server_stop();
}

START_TEST(a_server_that_comes_late_is_waited_for)
{
    pthread_t thread;
    int status = 1;
    mariadb_kill(server);
    ck_assert_int_eq(pthread_create(&thread, NULL, migrate_beside, &status), 0);
    mariadb_start(server);
    pthread_join(thread, NULL);
    ck_assert_int_eq(status, 0);
    assert_answer(NAMES, SEEDED);
}
END_TEST

START_TEST(a_server_that_never_comes_is_given_up)
{
    struct migrate_options o = {.admin = &admin, .timeout_s = 1, .schema = true};
    mariadb_kill(server);
    ck_assert_int_eq(migrate_run(&o, &said, &reason), UV_ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(reason, "cannot reach the database"));
    ck_assert_uint_eq(said.length, 0);
}
END_TEST

START_TEST(a_frozen_server_is_given_up)
{
    struct migrate_options o = {.admin = &admin, .timeout_s = 1, .schema = true};
    process_freeze(server->process);
    unsigned long long since = now_ms();
    ck_assert_int_eq(migrate_run(&o, &said, &reason), UV_ECONNREFUSED);
    ck_assert_uint_lt(now_ms() - since, 5000);
    process_thaw(server->process);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("migrate");
    TCase *t = tcase_create("shared server");
    tcase_set_timeout(t, 60);
    tcase_add_unchecked_fixture(t, server_start, server_stop);
    tcase_add_checked_fixture(t, test_start, test_stop);
    tcase_add_test(t, an_empty_database_gets_tables_and_users);
    tcase_add_test(t, it_can_be_repeated);
    tcase_add_test(t, seeding_leaves_a_table_with_users_alone);
    tcase_add_test(t, seeding_alone_needs_the_table);
    tcase_add_test(t, the_predecessors_table_is_expanded);
    tcase_add_test(t, a_predecessors_table_with_a_key_keeps_it);
    tcase_add_test(t, another_table_of_that_name_is_not_touched);
    tcase_add_test(t, the_applications_user_reads_and_nothing_else);
    tcase_add_test(t, a_new_password_replaces_the_old_one);
    tcase_add_test(t, who_migrates_is_never_the_user_that_is_changed);
    tcase_add_test(t, a_missing_database_is_created_whatever_its_name);
    tcase_add_test(t, who_may_not_create_is_told_so);
    tcase_add_test(t, a_wrong_password_is_told_at_once);
    tcase_add_test(t, many_at_once_do_it_once);
    tcase_add_test(t, a_lock_that_is_held_is_not_waited_for_without_end);
    suite_add_tcase(suite, t);
    t = tcase_create("own server");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, own_start, own_stop);
    tcase_add_test(t, a_server_that_comes_late_is_waited_for);
    tcase_add_test(t, a_server_that_never_comes_is_given_up);
    tcase_add_test(t, a_frozen_server_is_given_up);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
