/* The frontend's settings: defaults, and everything that is wrong named at once. */
#include "frontend/config.h"
#include "lib/buf.h"
#include "tests/support/suite.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct frontend_config config;
static struct buf errors;

static void set_up(void)
{
    clearenv();
}

static void tear_down(void)
{
    frontend_config_done(&config);
    buf_done(&errors);
}

START_TEST(an_empty_environment_is_enough)
{
    ck_assert_int_eq(frontend_config_load(&config, &errors), 0);
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    ck_assert_str_eq(config.served_by, host);
    ck_assert_str_eq(config.environment_name, "develop");
    ck_assert_str_eq(config.redis.host, "127.0.0.1");
    ck_assert_int_eq(config.redis.port, 6379);
    ck_assert_str_eq(config.backend_url, "http://127.0.0.1:5001/backend");
    ck_assert_int_eq(config.port, 5000);
    ck_assert_int_eq(config.max_waiting, 4096);
}
END_TEST

START_TEST(the_environment_decides)
{
    setenv("POD_NAME", "pod-7", 1);
    setenv("ENVIRONMENT", "blue", 1);
    setenv("BACKEND_URL", "", 1);
    setenv("REDIS_URL", "redis://u:p%40ss@[::1]:7000/3", 1);
    ck_assert_int_eq(frontend_config_load(&config, &errors), 0);
    ck_assert_str_eq(config.served_by, "pod-7");
    ck_assert_str_eq(config.environment_name, "blue");
    ck_assert_str_eq(config.backend_url, "");
    ck_assert_str_eq(config.redis.password, "p@ss");
    ck_assert_str_eq(config.redis.host, "::1");
}
END_TEST

START_TEST(what_kubernetes_injects_is_not_read)
{
    setenv("REDIS_PORT", "tcp://10.0.0.7:6379", 1);
    setenv("FRONTEND_PORT", "tcp://10.0.0.8:5000", 1);
    setenv("BACKEND_PORT", "tcp://10.0.0.9:5001", 1);
    ck_assert_int_eq(frontend_config_load(&config, &errors), 0);
    ck_assert_int_eq(config.redis.port, 6379);
}
END_TEST

static const struct row {
    const char *name, *value;
    bool is_good;
} rows[] = {
    {"BACKEND_URL", "http://backend:5001/backend", true},
    {"BACKEND_URL", "https://backend/users?all=1", true},
    {"BACKEND_URL", "http://[::1]:5001/", true},
    {"BACKEND_URL", "backend:5001", false},
    {"BACKEND_URL", "ftp://backend/", false},
    {"BACKEND_URL", "file:///etc/passwd", false},
    {"BACKEND_URL", "http://", false},
    {"BACKEND_URL", "http://bob:secret@backend/", false},
    {"BACKEND_URL", "http://backend:99999/", false},
    {"REDIS_URL", "redis://redis", true},
    {"REDIS_URL", "redis://:secret@redis:6379/0", true},
    {"REDIS_URL", "redis://redis:6379/x", false},
    {"REDIS_URL", "http://redis:6379/0", false},
    {"REDIS_URL", "redis", false},
    {"REDIS_URL", "redis://bob:secret@:x", false},
    {"LISTEN_ADDRESS", "0.0.0.0", true},
    {"LISTEN_ADDRESS", "::1", true},
    {"LISTEN_ADDRESS", "localhost", false},
    {"LISTEN_ADDRESS", "1.2.3", false},
    {"REDIS_CA_FILE", "/proc/self/status", true},
    {"REDIS_CA_FILE", "/nowhere/ca.pem", false},
    {"ENVIRONMENT", "green", true},
    {"ENVIRONMENT", "red", false},
    {"CONNECTION_TIMEOUT_S", "2", true},
    {"FETCH_TIMEOUT_MS", "60000", true},
    {"WORKERS", "0", false},
    {"PORT", "65536", false},
    {"LOG_LEVEL", "loud", false},
};

START_TEST(a_setting_is_checked)
{
    const struct row *row = &rows[_i];
    setenv(row->name, row->value, 1);
    ck_assert_int_eq(frontend_config_load(&config, &errors), row->is_good ? 0 : 1);
    if (row->is_good) {
        ck_assert_uint_eq(errors.length, 0);
        return;
    }
    ck_assert_msg(strncmp(errors.data, row->name, strlen(row->name)) == 0, "%s", errors.data);
    ck_assert_ptr_null(strstr(errors.data, "secret"));
    ck_assert_ptr_eq(strchr(errors.data, '\n'), errors.data + errors.length - 1);
}
END_TEST

START_TEST(waiting_may_not_outlast_the_connection)
{
    setenv("CONNECTION_TIMEOUT_S", "5", 1);
    setenv("VISIT_TIMEOUT_MS", "5000", 1);
    ck_assert_int_eq(frontend_config_load(&config, &errors), 1);
    ck_assert_ptr_nonnull(strstr(errors.data, "CONNECTION_TIMEOUT_S"));
}
END_TEST

START_TEST(all_that_is_wrong_is_said_at_once)
{
    setenv("PORT", "x", 1);
    setenv("REDIS_URL", "nonsense", 1);
    setenv("BACKEND_URL", "nonsense", 1);
    setenv("LISTEN_ADDRESS", "nonsense", 1);
    ck_assert_int_eq(frontend_config_load(&config, &errors), 4);
    ck_assert_ptr_nonnull(strstr(errors.data, "PORT"));
    ck_assert_ptr_nonnull(strstr(errors.data, "REDIS_URL"));
    ck_assert_ptr_nonnull(strstr(errors.data, "BACKEND_URL"));
    ck_assert_ptr_nonnull(strstr(errors.data, "LISTEN_ADDRESS"));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("frontend_config");
    TCase *tc = tcase_create("frontend_config");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, an_empty_environment_is_enough);
    tcase_add_test(tc, the_environment_decides);
    tcase_add_test(tc, what_kubernetes_injects_is_not_read);
    tcase_add_loop_test(tc, a_setting_is_checked, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(tc, waiting_may_not_outlast_the_connection);
    tcase_add_test(tc, all_that_is_wrong_is_said_at_once);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
