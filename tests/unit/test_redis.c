/* The Redis client against a scripted server: URLs, connecting, greeting, the pauses between. */
#include "lib/redis.h"
#include "lib/url.h"
#include "tests/support/fake_redis.h"
#include "tests/support/loop.h"
#include "tests/support/redis_play.h"
#include "tests/support/suite.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- connecting ---- */

START_TEST(it_is_ready_only_after_the_ping)
{
    fake_redis_expect_late(play.server, "PING", "+PONG\r\n", 50);
    play_start();
    loop_wait(&play.loop, fake_server_is_done(play.server));
    ck_assert_int_eq(redis_state(play.redis), REDIS_CONNECTING);
    ck_assert_int_eq(play_call("GET"), UV_ENOTCONN);

    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);

    ck_assert_str_eq(play.states.data, "connecting ready ");
}
END_TEST

static const struct {
    const char *url, *heard;
} HANDSHAKES[] = {
    {"redis://127.0.0.1:%d", "PING\n"},
    {"redis://127.0.0.1:%d/0", "PING\n"},
    {"redis://localhost:%d/", "PING\n"},
    {"redis://127.0.0.1:%d/7", "SELECT 7\nPING\n"},
    {"redis://:s%%40cret@127.0.0.1:%d", "AUTH s@cret\nPING\n"},
    {"redis://tally:p:w@127.0.0.1:%d/2", "AUTH tally p:w\nSELECT 2\nPING\n"},
};

START_TEST(the_url_makes_the_handshake)
{
    play_start_with(HANDSHAKES[_i].url);
    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
    ck_assert_str_eq(fake_server_heard(play.server), HANDSHAKES[_i].heard);
}
END_TEST

static const struct {
    const char *command, *reply, *reason;
} REFUSALS[] = {
    {"AUTH*", "-WRONGPASS not secret, tally\r\n", "AUTH was refused: check user and password"},
    {"AUTH*", "-ERR secret\r\n", "AUTH was refused: check user and password"},
    {"SELECT*", "-ERR DB index is out of range\r\n",
     "SELECT was refused: ERR DB index is out of range"},
    {"PING", "-LOADING Redis is loading\r\n", "PING was refused: LOADING Redis is loading"},
    {"PING", "-NOAUTH required\r\n", "PING was refused: NOAUTH required"},
    {"PING", "garbage\r\n", "cannot connect: Protocol error, got \"g\" as reply type byte"},
};

START_TEST(a_refused_handshake_closes_and_tells_no_secret)
{
    fake_redis_expect(play.server, REFUSALS[_i].command, REFUSALS[_i].reply);
    play_start_with("redis://tally:secret@127.0.0.1:%d/1");
    play_wait_closed();

    ck_assert_str_eq(play.states.data, "connecting closed ");
    ck_assert_str_eq(play.reason, REFUSALS[_i].reason);
    ck_assert_ptr_null(strstr(play.reason, "secret"));
}
END_TEST

START_TEST(a_server_that_says_nothing_is_given_up_in_time)
{
    fake_redis_expect_silence(play.server, "PING");
    play_start();
    play_wait_closed();
    ck_assert_str_eq(play.reason, "cannot connect in time: connected, but no answer");

    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
}
END_TEST

START_TEST(a_server_that_is_away_at_start_is_found_later)
{
    fake_server_refuse(play.server);
    play_start();
    play_wait_closed();
    ck_assert_str_eq(play.reason, "cannot connect: connection refused");

    fake_server_listen(play.server);
    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
}
END_TEST

START_TEST(a_server_that_turns_everyone_away_is_quoted)
{
    fake_redis_expect_hang_up(play.server, "PING", "-ERR max number of clients reached\r\n");
    play_start();
    play_wait_closed();
    ck_assert_str_eq(play.reason, "PING was refused: ERR max number of clients reached");
}
END_TEST

START_TEST(a_name_that_does_not_exist_is_looked_up_again)
{
    play_start_with("redis://a..b:%d");
    play_wait_closed();
    ck_assert_msg(strncmp(play.reason, "cannot look up the host: ", 25) == 0, "%s", play.reason);
    loop_wait(&play.loop, strstr(play.states.data, "closed connecting closed"));
}
END_TEST

/* A container may have no IPv6. Asked outside any test, where nothing may be asserted. */
static int address_kinds(void)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&six, sizeof six) == 0;
    if (fd >= 0)
        close(fd);
    return bound ? 2 : 1;
}

START_TEST(both_kinds_of_addresses_work)
{
    fake_server_free(play.server);
    play.server = fake_redis_new_on(&play.loop, _i ? "::1" : "127.0.0.1");
    play_start_with(_i ? "redis://[::1]:%d" : "redis://localhost:%d");
    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
}
END_TEST

START_TEST(pauses_grow_until_a_call_succeeds)
{
    fake_server_refuse(play.server);
    play_start();
    loop_wait(&play.loop, play.pauses == 3);
    ck_assert_uint_ge(play.pauses_ms[0], 100);
    ck_assert_uint_ge(play.pauses_ms[1], 200);
    ck_assert_uint_ge(play.pauses_ms[2], 400);

    fake_server_listen(play.server);
    fake_redis_expect(play.server, "GET", ":1\r\n");
    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
    ck_assert_int_eq(play_call("GET"), 0);
    loop_wait(&play.loop, play.replies == 1);
    redis_reset(play.redis, "test");
    play.pauses = 0;
    loop_wait(&play.loop, play.pauses == 1);
    ck_assert_uint_ge(play.pauses_ms[0], 100);
    ck_assert_uint_lt(play.pauses_ms[0], 400);
}
END_TEST

/* Who was away for long is found within two seconds of the return. */
START_TEST(the_longest_pause_is_below_two_seconds)
{
    fake_server_refuse(play.server);
    play_start();
    loop_wait(&play.loop, play.pauses == 6);
    ck_assert_uint_lt(play.pauses_ms[4], 1900);
    ck_assert_uint_lt(play.pauses_ms[5], 1900);
}
END_TEST

START_TEST(an_error_reply_does_not_end_the_back_off)
{
    play_start_ready();
    for (unsigned i = 0; i < 3; i++) {
        fake_redis_expect(play.server, "GET", "-OOM\r\n");
        ck_assert_int_eq(play_call("GET"), 0);
        loop_wait(&play.loop, play.replies == i + 1);
        redis_reset(play.redis, "OOM");
        loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
    }
    ck_assert_uint_ge(play.pauses_ms[2], 400);
}
END_TEST

/* ---- the owner's greeting ---- */

static void on_greeting(void *arg, int status, const struct redis_value *value)
{
    play_on_reply(arg, status, value);
    if (status == 0 && value->kind != REDIS_ERROR)
        redis_accept(play.redis);
}

static void greet(struct redis *r, void *context)
{
    (void)context;
    const char *argv[] = {"HI"};
    ck_assert_int_eq(redis_call(r, play_on_reply, &play.loop, 1, argv, NULL), UV_ENOTCONN);
    ck_assert_int_eq(redis_greet(r, on_greeting, &play.loop, 1, argv, NULL), 0);
}

static void start_greeting(void)
{
    struct redis_options o = play_options("redis://127.0.0.1:%d");
    o.on_greet = greet;
    ck_assert_int_eq(redis_new(&o, &play.redis), 0);
}

START_TEST(ready_follows_the_greeting)
{
    fake_redis_expect_late(play.server, "HI", "+WELCOME\r\n", 20);
    start_greeting();
    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
    ck_assert_str_eq(play.told.data, "text 7 'WELCOME';");
    ck_assert_str_eq(fake_server_heard(play.server), "PING\nHI\n");
    ck_assert_int_eq(
        redis_greet(play.redis, play_on_reply, &play.loop, 1, (const char *[]){"HI"}, NULL),
        UV_ENOTCONN);
}
END_TEST

static const struct {
    const char *reply, *told, *reason;
} GREETINGS[] = {
    {"", "ETIMEDOUT;", "cannot connect in time: no answer to the greeting"},
    {"-NO\r\n", "error 2 'NO';", "cannot connect in time: no answer to the greeting"},
    {"-NO\r\n?", "error 2 'NO';", "cannot connect: Protocol error, got \"?\" as reply type byte"},
};

START_TEST(a_greeting_not_accepted_closes)
{
    fake_redis_expect(play.server, "HI", GREETINGS[_i].reply);
    start_greeting();
    play_wait_closed();
    ck_assert_str_eq(play.told.data, GREETINGS[_i].told);
    ck_assert_str_eq(play.reason, GREETINGS[_i].reason);
}
END_TEST

/* ---- which URLs ---- */

static const struct {
    const char *url, *problem; /* problem: a part of the sentence; NULL: none */
} URLS[] = {
    {"redis://h", NULL},
    {"redis://h:1/15", NULL},
    {"redis://:p@h/", NULL},
    {"redis://[::1]:6379/0", NULL},
    {"http://h", "redis or rediss"},
    {"redis://h/x", "database number"},
    {"redis://h/1x", "database number"},
    {"redis://h/-1", "database number"},
    {"redis://h/+1", "database number"},
    {"redis://h/0/1", "database number"},
    {"redis://h/99999999999999999999", "database number"},
    {"redis://user@h", "password"},
    {"redis://h/0?a=b", "nothing may follow"},
};

START_TEST(urls_are_checked)
{
    ck_assert_ptr_null(url_parse(URLS[_i].url, &play.url));
    const char *problem = redis_check_url(&play.url);
    if (!URLS[_i].problem) {
        ck_assert_ptr_null(problem);
        return;
    }
    ck_assert_ptr_nonnull(problem);
    ck_assert_ptr_nonnull(strstr(problem, URLS[_i].problem));
    struct redis_options o = {.loop = &play.loop, .url = &play.url, .timeout_ms = 1};
    ck_assert_int_eq(redis_new(&o, &play.redis), UV_EINVAL);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)

int main(void)
{
    Suite *suite = suite_create("redis");
    TCase *cases = tcase_create("redis");
    tcase_add_checked_fixture(cases, play_begin, play_end);
    tcase_set_timeout(cases, 20);
    tcase_add_test(cases, it_is_ready_only_after_the_ping);
    tcase_add_loop_test(cases, the_url_makes_the_handshake, 0, ROWS(HANDSHAKES));
    tcase_add_loop_test(cases, a_refused_handshake_closes_and_tells_no_secret, 0, ROWS(REFUSALS));
    tcase_add_test(cases, a_server_that_says_nothing_is_given_up_in_time);
    tcase_add_test(cases, a_server_that_is_away_at_start_is_found_later);
    tcase_add_test(cases, a_server_that_turns_everyone_away_is_quoted);
    tcase_add_test(cases, a_name_that_does_not_exist_is_looked_up_again);
    tcase_add_loop_test(cases, both_kinds_of_addresses_work, 0, address_kinds());
    tcase_add_test(cases, pauses_grow_until_a_call_succeeds);
    tcase_add_test(cases, the_longest_pause_is_below_two_seconds);
    tcase_add_test(cases, an_error_reply_does_not_end_the_back_off);
    tcase_add_loop_test(cases, urls_are_checked, 0, ROWS(URLS));
    tcase_add_test(cases, ready_follows_the_greeting);
    tcase_add_loop_test(cases, a_greeting_not_accepted_closes, 0, ROWS(GREETINGS));
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
