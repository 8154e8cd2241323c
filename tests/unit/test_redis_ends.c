/* The Redis client when a call or a connection ends, and freed in every place. */
#include "lib/redis.h"
#include "tests/support/fake_redis.h"
#include "tests/support/loop.h"
#include "tests/support/redis_play.h"
#include "tests/support/suite.h"
#include <stdlib.h>
#include <string.h>

/* ---- ends ---- */

START_TEST(a_call_without_answer_times_out_with_all_behind_it)
{
    play_start_ready();
    fake_redis_expect_silence(play.server, "A");
    fake_redis_expect_silence(play.server, "B");
    uint64_t begun_ms = uv_now(&play.loop);
    ck_assert_int_eq(play_call("A"), 0);
    ck_assert_int_eq(play_call("B"), 0);
    play_wait_closed();

    ck_assert_str_eq(play.told.data, "ETIMEDOUT;ETIMEDOUT;");
    ck_assert_str_eq(play.reason, "no answer in time");
    ck_assert_uint_ge(uv_now(&play.loop) - begun_ms, PLAY_TIMEOUT_MS);
    ck_assert_int_eq(play_call("C"), UV_ENOTCONN);
}
END_TEST

/* The timer of the first call must not end the second before its time. */
START_TEST(each_call_has_its_own_deadline)
{
    play_start_ready();
    fake_redis_expect_late(play.server, "A", ":1\r\n", PLAY_TIMEOUT_MS * 2 / 3);
    ck_assert_int_eq(play_call("A"), 0);
    loop_wait(&play.loop, play.replies == 1);
    fake_redis_expect_late(play.server, "B", ":2\r\n", PLAY_TIMEOUT_MS * 2 / 3);
    ck_assert_int_eq(play_call("B"), 0);
    loop_wait(&play.loop, play.replies == 2);
    ck_assert_str_eq(play.told.data, "int 1;int 2;");
}
END_TEST

static const struct {
    const char *reply;
    enum fake_then then;
} LOST[] = {{"", FAKE_HANG_UP}, {"$5\r\nhal", FAKE_HANG_UP}, {"", FAKE_RESET}};

START_TEST(a_connection_lost_in_flight_is_told_and_made_anew)
{
    play_start_ready();
    fake_redis_expect_silence(play.server, "A");
    fake_server_expect(
        play.server,
        &(struct fake_step){.expect = "B", .reply = LOST[_i].reply, .then = LOST[_i].then});
    ck_assert_int_eq(play_call("A"), 0);
    ck_assert_int_eq(play_call("B"), 0);
    play_wait_closed();
    ck_assert_str_eq(play.told.data, "ECONNRESET;ECONNRESET;");

    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
    ck_assert_str_eq(play.states.data, "closed connecting ready ");
    ck_assert_uint_eq(fake_server_accepted(play.server), 2);
}
END_TEST

START_TEST(a_reply_before_the_hang_up_counts)
{
    play_start_ready();
    fake_redis_expect_hang_up(play.server, "A", ":1\r\n");
    ck_assert_int_eq(play_call("A"), 0);
    play_wait_closed();
    ck_assert_str_eq(play.told.data, "int 1;");
}
END_TEST

START_TEST(reset_ends_calls_and_comes_back)
{
    play_start_ready();
    fake_redis_expect_silence(play.server, "A");
    ck_assert_int_eq(play_call("A"), 0);
    loop_wait(&play.loop, fake_server_is_done(play.server));
    redis_reset(play.redis, "of no use");
    ck_assert_str_eq(play.told.data, "ECONNRESET;");
    ck_assert_str_eq(play.reason, "of no use");
    redis_reset(play.redis, "again"); /* nothing left to reset */
    ck_assert_str_eq(play.states.data, "closed ");
    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
}
END_TEST

static void on_reply_reset(void *arg, int status, const struct redis_value *value)
{
    play_on_reply(arg, status, value);
    redis_reset(play.redis, "READONLY");
    redis_reset(play.redis, "the first reason stays");
    ck_assert_str_eq(play.states.data, "");
    ck_assert_int_eq(play_call("C"), UV_ENOTCONN);
}

START_TEST(reset_inside_a_reply_waits_for_its_end)
{
    play_start_ready();
    fake_redis_expect(play.server, "A", "-READONLY\r\n");
    fake_redis_expect_silence(play.server, "B");
    ck_assert_int_eq(
        redis_call(play.redis, on_reply_reset, &play.loop, 1, (const char *[]){"A"}, NULL), 0);
    ck_assert_int_eq(play_call("B"), 0);
    play_wait_closed();
    ck_assert_str_eq(play.told.data, "error 8 'READONLY';ECONNRESET;");
    ck_assert_str_eq(play.reason, "READONLY");
    fake_server_forget(play.server);
}
END_TEST

/* ---- freed in every place ---- */

START_TEST(freed_before_the_first_turn)
{
    play_start();
    play_free();
    ck_assert_str_eq(play.states.data, "");
}
END_TEST

START_TEST(freed_while_it_looks_up_or_connects)
{
    play_start_with(_i % 2 ? "redis://localhost:%d" : "redis://127.0.0.1:%d");
    for (int turns = 0; turns <= _i / 2; turns++)
        uv_run(&play.loop, UV_RUN_ONCE);
    play_free();
}
END_TEST

START_TEST(freed_in_the_handshake)
{
    fake_redis_expect_silence(play.server, "PING");
    play_start();
    loop_wait(&play.loop, fake_server_is_done(play.server));
    play_free();
}
END_TEST

START_TEST(freed_during_the_pause)
{
    fake_server_refuse(play.server);
    play_start();
    play_wait_closed();
    play_free();
}
END_TEST

START_TEST(freed_when_ready)
{
    play_start_ready();
    play_free();
    ck_assert_str_eq(play.states.data, "");
}
END_TEST

START_TEST(freed_with_calls_in_flight)
{
    play_start_ready();
    fake_redis_expect_silence(play.server, "A");
    fake_redis_expect_silence(play.server, "B");
    ck_assert_int_eq(play_call("A"), 0);
    ck_assert_int_eq(play_call("B"), 0);
    if (_i)
        loop_wait(&play.loop, fake_server_is_done(play.server));
    play_free();
    ck_assert_str_eq(play.told.data, "ECANCELED;ECANCELED;");
    fake_server_forget(play.server);
}
END_TEST

static void on_reply_free(void *arg, int status, const struct redis_value *value)
{
    play_on_reply(arg, status, value);
    play_free();
}

static const struct {
    const char *reply, *told;
    enum fake_then then;
} LAST_REPLIES[] = {
    {":1\r\n", "int 1;ECANCELED;", FAKE_STAY},   {":1\r\n:2\r\n", "int 1;ECANCELED;", FAKE_STAY},
    {"", "ECONNRESET;ECANCELED;", FAKE_HANG_UP}, {"?", "EPROTO;ECANCELED;", FAKE_STAY},
    {"", "ETIMEDOUT;ECANCELED;", FAKE_STAY},
};

START_TEST(freed_inside_a_reply)
{
    play_start_ready();
    fake_server_expect(play.server, &(struct fake_step){.expect = "A",
                                                        .reply = LAST_REPLIES[_i].reply,
                                                        .then = LAST_REPLIES[_i].then});
    ck_assert_int_eq(
        redis_call(play.redis, on_reply_free, &play.loop, 1, (const char *[]){"A"}, NULL), 0);
    fake_redis_expect_silence(play.server, "B");
    ck_assert_int_eq(play_call("B"), 0);
    loop_wait(&play.loop, !play.redis);
    ck_assert_str_eq(play.told.data, LAST_REPLIES[_i].told);
    ck_assert_str_eq(play.states.data, "");
    fake_server_forget(play.server);
}
END_TEST

static enum redis_state free_in;

static void on_state_free(struct redis *r, enum redis_state state, const char *why, void *context)
{
    play_on_state(r, state, why, context);
    if (state == free_in)
        play_free();
}

START_TEST(freed_inside_a_change_of_state)
{
    free_in = (enum redis_state)_i;
    if (free_in == REDIS_CLOSED)
        fake_redis_expect_hang_up(play.server, "PING", "");
    struct redis_options o = play_options("redis://127.0.0.1:%d");
    o.on_state = on_state_free;
    ck_assert_int_eq(redis_new(&o, &play.redis), 0);
    loop_wait(&play.loop, !play.redis);
}
END_TEST

static void greet_free(struct redis *r, void *context)
{
    (void)context;
    ck_assert_int_eq(redis_greet(r, play_on_reply, &play.loop, 1, (const char *[]){"HI"}, NULL), 0);
    play_free();
}

START_TEST(freed_inside_the_greeting)
{
    struct redis_options o = play_options("redis://127.0.0.1:%d");
    o.on_greet = greet_free;
    ck_assert_int_eq(redis_new(&o, &play.redis), 0);
    loop_wait(&play.loop, !play.redis);
    ck_assert_str_eq(play.told.data, "ECANCELED;");
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)

int main(void)
{
    Suite *suite = suite_create("redis_ends");
    TCase *cases = tcase_create("redis_ends");
    tcase_add_checked_fixture(cases, play_begin, play_end);
    tcase_set_timeout(cases, 20);
    tcase_add_test(cases, a_call_without_answer_times_out_with_all_behind_it);
    tcase_add_test(cases, each_call_has_its_own_deadline);
    tcase_add_loop_test(cases, a_connection_lost_in_flight_is_told_and_made_anew, 0, ROWS(LOST));
    tcase_add_test(cases, a_reply_before_the_hang_up_counts);
    tcase_add_test(cases, reset_ends_calls_and_comes_back);
    tcase_add_test(cases, reset_inside_a_reply_waits_for_its_end);
    tcase_add_test(cases, freed_before_the_first_turn);
    tcase_add_loop_test(cases, freed_while_it_looks_up_or_connects, 0, 8);
    tcase_add_test(cases, freed_in_the_handshake);
    tcase_add_test(cases, freed_during_the_pause);
    tcase_add_test(cases, freed_when_ready);
    tcase_add_loop_test(cases, freed_with_calls_in_flight, 0, 2);
    tcase_add_loop_test(cases, freed_inside_a_reply, 0, ROWS(LAST_REPLIES));
    tcase_add_loop_test(cases, freed_inside_a_change_of_state, 0, 3);
    tcase_add_test(cases, freed_inside_the_greeting);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
