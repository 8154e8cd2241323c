/* TLS towards a real Redis: the right server is accepted, every wrong one refused. */
#include "lib/redis.h"
#include "lib/mem.h"
#include "lib/redis_tls.h"
#include "lib/url.h"
#include "tests/support/certificates.h"
#include "tests/support/loop.h"
#include "tests/support/net.h"
#include "tests/support/real_redis.h"
#include "tests/support/suite.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if TALLY_REDIS_TLS

static uv_loop_t loop;
static struct real_redis *server;
static struct url url;
static struct redis *redis;
static char *directory, *ca_file;
static bool closed, answered;
static char reason[300];

static void on_state(struct redis *r, enum redis_state state, const char *why, void *context)
{
    (void)r, (void)context;
    snprintf(reason, sizeof reason, "%s", why);
    closed = closed || state == REDIS_CLOSED;
}

static void on_reply(void *arg, int status, const struct redis_value *value)
{
    (void)arg;
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(value->kind, REDIS_TEXT);
    answered = true;
}

static void start(const char *form, const char *ca)
{
    char *text = xasprintf(form, server->port);
    ck_assert_ptr_null(url_parse(text, &url));
    free(text);
    ck_assert_ptr_null(redis_check_url(&url));
    ca_file = *ca ? certificates_path(directory, ca) : xstrdup("");
    struct redis_options options = {
        .loop = &loop, .url = &url, .ca_file = ca_file, .timeout_ms = 5000, .on_state = on_state};
    ck_assert_int_eq(redis_new(&options, &redis), 0);
}

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    directory = directory_new("tls");
    certificates_make(directory);
}

static void tear_down(void)
{
    redis_free(redis);
    loop_end(&loop);
    real_redis_free(server);
    url_done(&url);
    free(directory);
    free(ca_file);
    uv_library_shutdown();
}

static const char *const RIGHT[] = {"rediss://127.0.0.1:%d/1", "rediss://localhost:%d"};

START_TEST(the_right_server_is_accepted)
{
    server = real_redis_new_tls(directory, "good");
    start(RIGHT[_i], "ca.pem");
    loop_wait(&loop, redis_state(redis) == REDIS_READY || closed);
    ck_assert_msg(!closed, "%s", reason);
    const char *argv[] = {"SET", "k", "v"};
    ck_assert_int_eq(redis_call(redis, on_reply, NULL, 3, argv, NULL), 0);
    loop_wait(&loop, answered);
}
END_TEST

static const struct {
    const char *certificate, *url, *ca, *reason;
} WRONG[] = {
    {"wrong-host", "rediss://127.0.0.1:%d", "ca.pem", "IP address mismatch"},
    {"wrong-host", "rediss://localhost:%d", "ca.pem", "hostname mismatch"},
    {"expired", "rediss://127.0.0.1:%d", "ca.pem", "expired"},
    {"good", "rediss://127.0.0.1:%d", "other-ca.pem", "issuer certificate"},
    {"good", "rediss://127.0.0.1:%d", "", "issuer certificate"}, /* the system's CAs */
    {"good", "rediss://127.0.0.1:%d", "nowhere.pem", "CA file"},
    {"good", "rediss://127.0.0.1:%d", "good.key", "CA file"},
};

START_TEST(a_wrong_server_is_refused)
{
    server = real_redis_new_tls(directory, WRONG[_i].certificate);
    start(WRONG[_i].url, WRONG[_i].ca);
    loop_wait(&loop, redis_state(redis) == REDIS_READY || closed);
    ck_assert_msg(closed, "accepted");
    ck_assert_msg(strcasestr(reason, WRONG[_i].reason), "%s", reason);
}
END_TEST

START_TEST(a_long_command_and_its_answer_pass)
{
    enum { LENGTH = 4 << 20 };
    char *value = xmalloc(LENGTH);
    memset(value, 'v', LENGTH);
    server = real_redis_new_tls(directory, "good");
    start(RIGHT[0], "ca.pem");
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
    const char *argv[] = {"SET", "k", value};
    size_t lengths[] = {3, 1, LENGTH};
    ck_assert_int_eq(redis_call(redis, on_reply, NULL, 3, argv, lengths), 0);
    free(value);
    loop_wait(&loop, answered);
}
END_TEST

START_TEST(a_killed_server_is_found_again)
{
    server = real_redis_new_tls(directory, "good");
    start(RIGHT[0], "ca.pem");
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
    real_redis_kill(server);
    loop_wait(&loop, closed);
    real_redis_start(server);
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
}
END_TEST

/* A server that speaks no TLS at all. */
START_TEST(a_plain_server_is_refused)
{
    server = real_redis_new();
    start(RIGHT[0], "ca.pem");
    loop_wait(&loop, redis_state(redis) == REDIS_READY || closed);
    ck_assert(closed);
    ck_assert_msg(*reason, "no reason");
}
END_TEST

static void add_tests(TCase *cases)
{
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, the_right_server_is_accepted, 0, 2);
    tcase_add_loop_test(cases, a_wrong_server_is_refused, 0, (int)(sizeof WRONG / sizeof *WRONG));
    tcase_add_test(cases, a_long_command_and_its_answer_pass);
    tcase_add_test(cases, a_killed_server_is_found_again);
    tcase_add_test(cases, a_plain_server_is_refused);
}

#else

START_TEST(without_tls_in_the_build_it_is_refused_in_words)
{
    struct url url;
    struct redis *redis = NULL;
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_ptr_null(url_parse("rediss://127.0.0.1:6380/0", &url));
    ck_assert_str_eq(redis_check_url(&url),
                     "rediss (TLS) is not in this build: it needs hiredis 1.0 or later");
    struct redis_options options = {.loop = &loop, .url = &url, .timeout_ms = 1};
    ck_assert_int_eq(redis_new(&options, &redis), UV_EINVAL);
    ck_assert_ptr_null(redis);
    url_done(&url);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

static void add_tests(TCase *cases)
{
    tcase_add_test(cases, without_tls_in_the_build_it_is_refused_in_words);
}

#endif

int main(void)
{
    Suite *suite = suite_create("redis_tls");
    TCase *cases = tcase_create("tls");
    tcase_set_timeout(cases, 40);
    add_tests(cases);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
