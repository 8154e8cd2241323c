/* The backend as a whole in one process: its routes, its errors, its leaving. */
#include "backend/service.h"
#include "backend/config.h"
#include "backend/store.h"
#include "lib/buf.h"
#include "lib/listen.h"
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/mariadb.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *directory;
static struct mariadb *server;
static struct backend_config config;
static pthread_t thread;
static int port, exit_status;

static void server_start(void)
{
    directory = directory_new("service");
    server = mariadb_new(directory);
    mariadb_run(server, "CREATE TABLE users (id BIGINT AUTO_INCREMENT PRIMARY KEY,"
                        " userName VARCHAR(255) NOT NULL);"
                        "INSERT INTO users (userName) VALUES ('Bob'), ('Jay'), ('<b>')");
}

static void server_stop(void)
{
    mariadb_free(server);
    free(directory);
}

static void *serve(void *arg)
{
    (void)arg;
    exit_status = backend_run(&config);
    return NULL;
}

static void set_number(const char *name, int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    setenv(name, text, 1);
}

static void load_config(const char *uri)
{
    struct buf errors = {0};
    port = port_reserve();
    setenv("DATABASE_URI", uri, 1);
    setenv("LISTEN_ADDRESS", "127.0.0.1", 1);
    setenv("RELEASE", "1.2.3", 1);
    setenv("LOG_REQUESTS", "1", 1);
    set_number("PORT", port);
    set_number("WORKERS", 2);
    set_number("DB_POOL", 3);
    ck_assert_msg(backend_config_load(&config, &errors) == 0, "%s", errors.data);
}

/* SIGTERM is for the thread that serves, as it is for the main thread of the program. */
static void block_signal(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &signals, NULL), 0);
}

static void log_to_file(void)
{
    char *log_path = xasprintf("%s/log.%d", directory, (int)getpid());
    ck_assert_ptr_nonnull(freopen(log_path, "we", stderr));
    free(log_path);
}

static void backend_start(const char *uri)
{
    load_config(uri);
    log_to_file();
    block_signal();
    store_library_init();
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
    ask_until(port, "/healthz", "", 200);
}

static char *log_text_now(void)
{
    char *log_path = xasprintf("%s/log.%d", directory, (int)getpid());
    char *text = file_read(log_path);
    free(log_path);
    return text;
}

static void backend_stop(void)
{
    kill(getpid(), SIGTERM);
    pthread_join(thread, NULL);
    ck_assert_int_eq(exit_status, 0);
    store_library_done();
    backend_config_done(&config);
}

START_TEST(users_are_answered_to_the_letter)
{
    backend_start(server->uri);
    const struct answer *a = ask_until(port, "/backend", "", 200);
    ck_assert_str_eq(a->body,
                     "[{\"userName\":\"Bob\"},{\"userName\":\"Jay\"},{\"userName\":\"<b>\"}]\n");
    ck_assert_str_eq(answer_field(a, "Content-Type"), "application/json");
    ck_assert_ptr_nonnull(answer_field(a, "X-Request-Id"));
    ck_assert_str_eq(answer_field(a, "X-Content-Type-Options"), "nosniff");
    backend_stop();
}
END_TEST

START_TEST(operators_find_their_routes)
{
    backend_start(server->uri);
    ck_assert_str_eq(ask_get(port, "/healthz", "")->body, "ok\n");
    ck_assert_str_eq(ask_get(port, "/readyz", "")->body, "ready\n");
    ask_until_text(port, "/readyz?verbose", "", "ready\ndatabase: up\n");
    const char *version = ask_get(port, "/version", "")->body;
    ck_assert_ptr_nonnull(
        strstr(version, "{\"service\":\"tally-backend\",\"version\":\"1.2.3\",\"revision\":\""));
    ask_until(port, "/backend", "", 200);
    const struct answer *a =
        ask_until_text(port, "/metrics", "", "tally_dependency_up{dependency=\"database\"} 1");
    ck_assert_str_eq(answer_field(a, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    ck_assert(metric_value(a->body, "tally_user_reads_total") >= 1);
    ck_assert(metric_sum(a->body, "tally_build_info") >= 1);
    backend_stop();
}
END_TEST

START_TEST(head_asks_no_database)
{
    backend_start(server->uri);
    const struct answer *a = ask_method(port, "HEAD", "/backend", "");
    ck_assert_int_eq(a->status, 200);
    ck_assert_str_eq(answer_field(a, "Content-Type"), "application/json");
    ck_assert_int_eq(ask_get(port, "/nowhere", "")->status, 404);
    ck_assert(metric_value(ask_get(port, "/metrics", "")->body, "tally_user_reads_total") == 0);
    backend_stop();
}
END_TEST

START_TEST(without_a_database_users_are_unavailable_and_nothing_else)
{
    char *uri = xasprintf("mysql://tally:s3cr3t@127.0.0.1:%d/tally", port_reserve());
    backend_start(uri);
    const struct answer *a =
        ask_get(port, "/backend",
                "X-Request-Id: req-7\r\n"
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n");
    ck_assert_int_eq(a->status, 503);
    ck_assert_str_eq(answer_field(a, "Content-Type"), "application/problem+json");
    ck_assert_str_eq(answer_field(a, "Retry-After"), "1");
    ck_assert_ptr_nonnull(strstr(a->body, "\"status\":503,\"detail\":\"The database"));
    ck_assert_int_eq(ask_get(port, "/healthz", "")->status, 200);
    ck_assert_int_eq(ask_get(port, "/readyz", "")->status, 200);
    ask_until_text(port, "/readyz?verbose", "", "ready\ndatabase: down\n");
    ask_until_text(port, "/metrics", "", "tally_dependency_up{dependency=\"database\"} 0");
    backend_stop();
    char *said = log_text_now();
    ck_assert_ptr_nonnull(strstr(said, "database is down"));
    ck_assert_ptr_nonnull(strstr(said, "\"degraded\":\"database\",\"request_id\":\"req-7\","
                                       "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""));
    ck_assert_ptr_null(strstr(said, "s3cr3t"));
    free(said);
    free(uri);
}
END_TEST

START_TEST(a_killed_database_comes_back_by_itself)
{
    backend_start(server->uri);
    ask_until(port, "/backend", "", 200);
    mariadb_kill(server);
    unsigned long long since = now_ms();
    ck_assert_int_eq(ask_get(port, "/backend", "")->status, 503);
    ck_assert_uint_lt(now_ms() - since, 2000);
    mariadb_start(server);
    ask_until(port, "/backend", "", 200);
    backend_stop();
}
END_TEST

START_TEST(readiness_may_wait_for_the_first_read)
{
    set_number("READY_WAIT_MS", 600000);
    mariadb_kill(server);
    backend_start(server->uri);
    ck_assert_int_eq(ask_get(port, "/readyz", "")->status, 503);
    ck_assert_str_eq(ask_get(port, "/readyz", "")->body, "starting\n");
    mariadb_start(server);
    ask_until(port, "/readyz", "", 200);
    mariadb_kill(server);
    ask_until(port, "/backend", "", 503);
    ck_assert_str_eq(ask_get(port, "/readyz", "")->body, "ready\n");
    backend_stop();
}
END_TEST

START_TEST(readiness_waits_no_longer_than_it_was_told)
{
    set_number("READY_WAIT_MS", 100);
    mariadb_kill(server);
    backend_start(server->uri);
    ask_until_text(port, "/readyz?verbose", "", "ready\ndatabase: down\n");
    backend_stop();
}
END_TEST

START_TEST(a_frozen_database_costs_no_more_than_the_deadline)
{
    backend_start(server->uri);
    ask_until(port, "/backend", "", 200);
    process_freeze(server->process);
    const struct answer *a = ask_get(port, "/backend", "");
    ck_assert_int_eq(a->status, 503);
    ck_assert_uint_lt(a->took_ms, 2000);
    unsigned long long since = now_ms();
    backend_stop();
    ck_assert_uint_lt(now_ms() - since, 10000);
    process_thaw(server->process);
}
END_TEST

START_TEST(a_port_in_use_is_a_failure_in_words)
{
    char *reason = NULL;
    int fd;
    load_config(server->uri);
    log_to_file();
    ck_assert_int_eq(listen_on("127.0.0.1", port, &fd, &reason), 0);
    ck_assert_int_ne(backend_run(&config), 0);
    char *said = log_text_now();
    ck_assert_ptr_nonnull(strstr(said, "cannot start"));
    ck_assert_ptr_nonnull(strstr(said, config.listen_address));
    free(said);
    close(fd);
    backend_config_done(&config);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("backend_service");
    TCase *t = tcase_create("shared server");
    tcase_set_timeout(t, 60);
    tcase_add_unchecked_fixture(t, server_start, server_stop);
    tcase_add_test(t, users_are_answered_to_the_letter);
    tcase_add_test(t, operators_find_their_routes);
    tcase_add_test(t, head_asks_no_database);
    tcase_add_test(t, without_a_database_users_are_unavailable_and_nothing_else);
    tcase_add_test(t, a_port_in_use_is_a_failure_in_words);
    suite_add_tcase(suite, t);
    t = tcase_create("own server");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, server_start, server_stop);
    tcase_add_test(t, a_killed_database_comes_back_by_itself);
    tcase_add_test(t, readiness_may_wait_for_the_first_read);
    tcase_add_test(t, readiness_waits_no_longer_than_it_was_told);
    tcase_add_test(t, a_frozen_database_costs_no_more_than_the_deadline);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
