/* One connection and its queries against a real MariaDB: what is read, and how failures are told.
 */
#include "backend/store.h"
#include "backend/database_uri.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "tests/support/certificates.h"
#include "tests/support/mariadb.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define TABLE                                                                                      \
    "DROP TABLE IF EXISTS users;"                                                                  \
    "CREATE TABLE users (id BIGINT AUTO_INCREMENT PRIMARY KEY, userName VARCHAR(255) NOT NULL) "   \
    "CHARACTER SET utf8mb4;"

static char *directory;
static struct mariadb *server;
static struct database database;
static struct store *store;
static char reason[STORE_REASON];

static int open_with(unsigned timeout_s, bool migrating)
{
    struct store_options o = {
        .database = &database, .timeout_s = timeout_s, .migrating = migrating};
    return store_open(&o, &store, reason);
}

static void must_open(void)
{
    int status = open_with(5, false);
    ck_assert_msg(status == 0, "%s", reason);
}

/* ---- a server for all tests that leave it alive, TLS included ---- */

static char *tls_arguments[3]; /* the last stays NULL */

static void certificate_choose(const char *name)
{
    char *copy =
        xasprintf("cd %s && cp %s.pem server.pem && cp %s.key server.key", directory, name, name);
    ck_assert_int_eq(system(copy), 0);
    free(copy);
}

static void server_start(void)
{
    directory = directory_new("store");
    certificates_make(directory);
    certificate_choose("good");
    tls_arguments[0] = xasprintf("--ssl-cert=%s/server.pem", directory);
    tls_arguments[1] = xasprintf("--ssl-key=%s/server.key", directory);
    server = mariadb_new_with(directory, (const char *const *)tls_arguments);
}

static void server_stop(void)
{
    mariadb_free(server);
    server = NULL;
    for (size_t i = 0; i < COUNT(tls_arguments); i++)
        free(tls_arguments[i]);
    free(directory);
    directory = NULL;
}

static void test_start(void)
{
    store_library_init();
    ck_assert_ptr_null(database_uri_parse(server->uri, &database));
    database.ca_file = "";
    store = NULL;
}

static void test_stop(void)
{
    store_close(store);
    database_done(&database);
    store_library_done();
}

/* ---- reading ---- */

static const struct reading {
    const char *rows;
    unsigned limit;
    const char *json;
    bool left_out;
} readings[] = {
    {"DO 0", 9, "[]\n", false},
    {"INSERT INTO users (userName) VALUES ('Bob'), ('Jay')", 9,
     "[{\"userName\":\"Bob\"},{\"userName\":\"Jay\"}]\n", false},
    {"INSERT INTO users (userName) VALUES ('Mo'), ('Bob'), ('Mo')", 9,
     "[{\"userName\":\"Mo\"},{\"userName\":\"Bob\"},{\"userName\":\"Mo\"}]\n", false},
    {"INSERT INTO users (userName) VALUES ('<script>alert(1)</script>'), ('a\"b\\\\c\n')", 9,
     "[{\"userName\":\"<script>alert(1)</script>\"},{\"userName\":\"a\\\"b\\\\c\\n\"}]\n", false},
    {"INSERT INTO users (userName) VALUES ('Zo\xC3\xAB \xF0\x9F\x90\x98'), ('')", 9,
     "[{\"userName\":\"Zo\xC3\xAB \xF0\x9F\x90\x98\"},{\"userName\":\"\"}]\n", false},
    {"INSERT INTO users (userName) VALUES ('a'), ('b'), ('c')", 3,
     "[{\"userName\":\"a\"},{\"userName\":\"b\"},{\"userName\":\"c\"}]\n", false},
    {"INSERT INTO users (userName) VALUES ('a'), ('b'), ('c')", 2,
     "[{\"userName\":\"a\"},{\"userName\":\"b\"}]\n", true},
    {"ALTER TABLE users MODIFY userName INT; INSERT INTO users (userName) VALUES (7), (NULL), (-1)",
     9, "[{\"userName\":\"7\"},{\"userName\":\"-1\"}]\n", false},
    {"ALTER TABLE users MODIFY userName VARBINARY(9); "
     "INSERT INTO users (userName) VALUES (x'41FF42')",
     9,
     "[{\"userName\":\"A\xEF\xBF\xBD"
     "B\"}]\n",
     false},
    {"ALTER TABLE users MODIFY userName VARCHAR(9) CHARACTER SET latin1; "
     "INSERT INTO users (userName) VALUES ('Zo\xC3\xAB')",
     9, "[{\"userName\":\"Zo\xC3\xAB\"}]\n", false},
};

START_TEST(users_are_read_in_the_order_of_insertion)
{
    const struct reading *r = &readings[_i];
    struct store_users users;
    mariadb_run(server, TABLE);
    mariadb_run(server, r->rows);
    must_open();
    int status = store_read_users(store, r->limit, &users, reason);
    ck_assert_msg(status == 0, "%s", reason);
    ck_assert_str_eq(users.json, r->json);
    ck_assert_uint_eq(users.length, strlen(r->json));
    ck_assert_int_eq(users.left_out, r->left_out);
    free(users.json);
}
END_TEST

START_TEST(an_answer_is_never_too_long)
{
    struct store_users users;
    mariadb_run(server, TABLE);
    mariadb_run(server, "INSERT INTO users (userName) SELECT REPEAT('x', 255) FROM seq_1_to_5000");
    must_open();
    ck_assert_int_eq(store_read_users(store, 10000, &users, reason), 0);
    ck_assert(users.left_out);
    ck_assert_uint_le(users.length, STORE_USERS_BYTES);
    ck_assert_uint_gt(users.length, STORE_USERS_BYTES - 300);
    ck_assert_str_eq(users.json + users.length - 4, "\"}]\n");
    free(users.json);
}
END_TEST

START_TEST(a_server_without_autocommit_shows_no_old_rows)
{
    struct store_users users;
    mariadb_run(server, TABLE "SET GLOBAL autocommit = 0");
    must_open();
    mariadb_run(server, "SET GLOBAL autocommit = 1");
    ck_assert_int_eq(store_read_users(store, 9, &users, reason), 0);
    free(users.json);
    mariadb_run(server, "SET autocommit = 1; INSERT INTO users (userName) VALUES ('Bob')");
    ck_assert_int_eq(store_read_users(store, 9, &users, reason), 0);
    ck_assert_str_eq(users.json, "[{\"userName\":\"Bob\"}]\n");
    free(users.json);
}
END_TEST

/* ---- failures ---- */

START_TEST(a_missing_table_leaves_the_connection_usable)
{
    struct store_users users;
    mariadb_run(server, "DROP TABLE IF EXISTS users");
    must_open();
    ck_assert_int_eq(store_read_users(store, 9, &users, reason), UV_EPROTO);
    ck_assert_msg(strstr(reason, "1146") != NULL, "%s", reason);
    mariadb_run(server, TABLE);
    ck_assert_int_eq(store_read_users(store, 9, &users, reason), 0);
    free(users.json);
}
END_TEST

START_TEST(a_wrong_password_is_refused_and_not_told)
{
    free(database.password);
    database.password = xstrdup("s3cr3t");
    ck_assert_int_eq(open_with(5, false), UV_EACCES);
    ck_assert_msg(strstr(reason, "Access denied") != NULL, "%s", reason);
    ck_assert_ptr_null(strstr(reason, "s3cr3t"));
    ck_assert_ptr_null(store);
}
END_TEST

START_TEST(an_unknown_database_is_refused)
{
    free(database.name);
    database.name = xstrdup("nowhere");
    ck_assert_int_eq(open_with(5, false), UV_EACCES);
}
END_TEST

START_TEST(a_port_without_a_server_is_told_at_once)
{
    database.port = port_reserve();
    unsigned long long since = now_ms();
    ck_assert_int_eq(open_with(5, false), UV_ECONNREFUSED);
    ck_assert_uint_lt(now_ms() - since, 2000);
}
END_TEST

START_TEST(a_killed_connection_is_lost)
{
    struct store_users users;
    mariadb_run(server, TABLE);
    must_open();
    mariadb_run(server, "KILL USER tally");
    ck_assert_int_eq(store_read_users(store, 9, &users, reason), UV_ECONNRESET);
}
END_TEST

/* ---- statements ---- */

START_TEST(statements_run_one_after_the_other_until_one_fails)
{
    int64_t n = 0;
    ck_assert_int_eq(open_with(5, true), 0);
    ck_assert_int_eq(store_use_database(store, database.name, reason), 0);
    ck_assert_int_eq(store_execute(store, "SET @a = 1; SELECT 5; SET @a = @a + 1", reason), 0);
    ck_assert_int_eq(store_ask_number(store, "SELECT @a", &n, reason), 0);
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(store_execute(store, "SET @a = 5; nonsense; SET @a = 6", reason), UV_EPROTO);
    ck_assert_int_eq(store_ask_number(store, "SELECT @a", &n, reason), 0);
    ck_assert_int_eq(n, 5);
    ck_assert_int_eq(store_ask_number(store, "SELECT NULL", &n, reason), 0);
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(store_ask_number(store, "nonsense", &n, reason), UV_EPROTO);
}
END_TEST

START_TEST(serving_connections_take_one_statement)
{
    must_open();
    ck_assert_int_eq(store_execute(store, "SET @a = 1; SET @a = 2", reason), UV_EPROTO);
}
END_TEST

START_TEST(a_secret_statement_is_not_quoted)
{
    ck_assert_int_eq(open_with(5, true), 0);
    ck_assert_int_eq(store_execute_secret(store, "nonsense 's3cr3t'", reason), UV_EPROTO);
    ck_assert_ptr_null(strstr(reason, "s3cr3t"));
    ck_assert_ptr_nonnull(strstr(reason, "1064"));
}
END_TEST

START_TEST(hostile_text_stays_text)
{
    static const char *const texts[] = {"",      "'",          "\\",   "\\'; DROP TABLE users; --",
                                        "a`b``", "Zo\xC3\xAB", "100%_"};
    int64_t same = 0;
    must_open();
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct buf sql = {0};
        buf_puts(&sql, "SELECT ");
        store_put_text(store, &sql, texts[i]);
        buf_puts(&sql, " = '' AS ");
        store_put_name(&sql, *texts[i] && *texts[i] != '1' ? texts[i] : "x");
        ck_assert_msg(store_ask_number(store, sql.data, &same, reason) == 0, "%s", reason);
        ck_assert_int_eq(same, *texts[i] == '\0');
        buf_done(&sql);
    }
}
END_TEST

/* ---- TLS ---- */

static const struct tls {
    const char *certificate, *host;
    enum database_tls tls;
    const char *ca;
    bool accepted;
} handshakes[] = {
    {"good", "127.0.0.1", DATABASE_TLS_OFF, NULL, true},
    {"good", "127.0.0.1", DATABASE_TLS_REQUIRE, NULL, true},
    {"wrong-host", "127.0.0.1", DATABASE_TLS_REQUIRE, NULL, true},
    {"expired", "127.0.0.1", DATABASE_TLS_REQUIRE, NULL, true},
    {"good", "127.0.0.1", DATABASE_TLS_VERIFY, "ca.pem", true},
    {"good", "localhost", DATABASE_TLS_VERIFY, "ca.pem", true},
    {"wrong-host", "localhost", DATABASE_TLS_VERIFY, "ca.pem", false},
    {"expired", "127.0.0.1", DATABASE_TLS_VERIFY, "ca.pem", false},
    {"good", "127.0.0.1", DATABASE_TLS_VERIFY, "other-ca.pem", false},
    {"good", "127.0.0.1", DATABASE_TLS_VERIFY, NULL, false},
};

static bool is_encrypted(void)
{
    static const char sql[] = "SELECT VARIABLE_VALUE <> '' FROM information_schema.SESSION_STATUS "
                              "WHERE VARIABLE_NAME = 'Ssl_cipher'";
    int64_t n = 0;
    ck_assert_int_eq(store_ask_number(store, sql, &n, reason), 0);
    return n == 1;
}

START_TEST(tls_is_as_strict_as_asked)
{
    const struct tls *t = &handshakes[_i];
    char *ca = t->ca ? certificates_path(directory, t->ca) : xstrdup("");
    certificate_choose(t->certificate);
    mariadb_run(server, "FLUSH SSL");
    free(database.host);
    database.host = xstrdup(t->host);
    database.tls = t->tls;
    database.ca_file = ca;
    int status = open_with(5, false);
    ck_assert_msg((status == 0) == t->accepted, "%s at %s: %s", t->certificate, t->host, reason);
    if (t->accepted)
        ck_assert_int_eq(is_encrypted(), t->tls != DATABASE_TLS_OFF);
    else
        ck_assert_int_eq(status, UV_EPROTO); /* not worth trying again */
    free(ca);
}
END_TEST

/* ---- a server of the test's own ---- */

static void own_start(void)
{
    static const char *const without_tls[] = {"--skip-ssl", NULL};
    directory = directory_new("store");
    server = mariadb_new_with(directory, without_tls);
    mariadb_run(server, TABLE);
    test_start();
}

static void own_stop(void)
{
    test_stop();
    mariadb_free(server);
    free(directory);
}

START_TEST(a_frozen_server_is_given_up_in_time)
{
    struct store_users users;
    ck_assert_int_eq(open_with(1, false), 0);
    process_freeze(server->process);
    unsigned long long since = now_ms();
    ck_assert_int_eq(store_read_users(store, 9, &users, reason), UV_ECONNRESET);
    store_close(store);
    store = NULL;
    ck_assert_int_eq(open_with(1, false), UV_ECONNREFUSED);
    ck_assert_uint_lt(now_ms() - since, 6000);
    process_thaw(server->process);
}
END_TEST

START_TEST(a_server_without_tls_is_refused_where_tls_is_required)
{
    database.tls = DATABASE_TLS_REQUIRE;
    ck_assert_int_eq(open_with(5, false), UV_EPROTO);
    database.tls = DATABASE_TLS_VERIFY;
    ck_assert_int_eq(open_with(5, false), UV_EPROTO);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("store");
    TCase *t = tcase_create("shared server");
    tcase_set_timeout(t, 60);
    tcase_add_unchecked_fixture(t, server_start, server_stop);
    tcase_add_checked_fixture(t, test_start, test_stop);
    tcase_add_loop_test(t, users_are_read_in_the_order_of_insertion, 0, COUNT(readings));
    tcase_add_test(t, an_answer_is_never_too_long);
    tcase_add_test(t, a_server_without_autocommit_shows_no_old_rows);
    tcase_add_test(t, a_missing_table_leaves_the_connection_usable);
    tcase_add_test(t, a_wrong_password_is_refused_and_not_told);
    tcase_add_test(t, an_unknown_database_is_refused);
    tcase_add_test(t, a_port_without_a_server_is_told_at_once);
    tcase_add_test(t, a_killed_connection_is_lost);
    tcase_add_test(t, statements_run_one_after_the_other_until_one_fails);
    tcase_add_test(t, serving_connections_take_one_statement);
    tcase_add_test(t, a_secret_statement_is_not_quoted);
    tcase_add_test(t, hostile_text_stays_text);
    tcase_add_loop_test(t, tls_is_as_strict_as_asked, 0, COUNT(handshakes));
    suite_add_tcase(suite, t);
    t = tcase_create("own server");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, own_start, own_stop);
    tcase_add_test(t, a_frozen_server_is_given_up_in_time);
    tcase_add_test(t, a_server_without_tls_is_refused_where_tls_is_required);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
