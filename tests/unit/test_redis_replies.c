/* The Redis client and what a server may answer, hostile answers too. */
#include "lib/redis.h"
#include "lib/mem.h"
#include "tests/support/fake_redis.h"
#include "tests/support/loop.h"
#include "tests/support/redis_play.h"
#include "tests/support/suite.h"
#include <stdlib.h>
#include <string.h>

/* ---- replies ---- */

static const struct {
    const char *reply, *told;
} REPLIES[] = {
    {"+OK\r\n", "text 2 'OK';"},
    {"$3\r\na\nb\r\n", "text 3 'a\nb';"},
    {"$0\r\n\r\n", "text 0 '';"},
    {":-9223372036854775808\r\n", "int -9223372036854775808;"},
    {"$-1\r\n", "nil;"},
    {"*-1\r\n", "nil;"},
    {"*0\r\n", "array;"},
    {"*2\r\n:7\r\n$1\r\nx\r\n", "array int 7, text 1 'x';"},
    {"*2\r\n*1\r\n:1\r\n$-1\r\n", "array nil, nil;"},
    {"*10\r\n:0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n",
     "array int 0, int 1, int 2, int 3, int 4, int 5, int 6, int 7;"},
    {"*1\r\n-ERR in it\r\n", "array error 9 'ERR in it';"},
    {"-LOADING x\r\n", "error 9 'LOADING x';"},
    {"-READONLY x\r\n", "error 10 'READONLY x';"},
    {"-NOSCRIPT\r\n", "error 8 'NOSCRIPT';"},
};

START_TEST(a_reply_is_told_as_it_came)
{
    play_start_ready();
    fake_redis_expect(play.server, "GET", REPLIES[_i].reply);
    ck_assert_int_eq(play_call("GET"), 0);
    loop_wait(&play.loop, play.replies == 1);

    ck_assert_str_eq(play.told.data, REPLIES[_i].told);
    ck_assert_int_eq(redis_state(play.redis), REDIS_READY);
}
END_TEST

static const struct {
    const char *reply, *told;
} HOSTILE[] = {
    {"HTTP/1.1 400 Bad Request\r\n\r\n", "EPROTO;"},
    {"$-5\r\nx\r\n", "EPROTO;"},
    {"$99999999999999999999\r\n", "EPROTO;"},
    {"*-7\r\n", "EPROTO;"},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", NULL},
    {":5\r\n:6\r\n", "int 5;"},  /* one too many */
    {":5\r\ngarbage", "int 5;"}, /* and worse */
    {"$5\r\nhal", "ETIMEDOUT;"}, /* the rest never comes */
    {"*2\r\n:1\r\n", "ETIMEDOUT;"},
    {"$1099511627776\r\nx", "ETIMEDOUT;"},
};

/* Whatever it was, the call ended once, and the next connection works. */
START_TEST(a_hostile_reply_ends_the_connection_only)
{
    play_start_ready();
    fake_redis_expect(play.server, "GET", HOSTILE[_i].reply);
    ck_assert_int_eq(play_call("GET"), 0);
    play_wait_closed();
    ck_assert_uint_eq(play.replies, 1);
    if (HOSTILE[_i].told)
        ck_assert_str_eq(play.told.data, HOSTILE[_i].told);

    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
    fake_redis_expect(play.server, "GET", ":1\r\n");
    ck_assert_int_eq(play_call("GET"), 0);
    loop_wait(&play.loop, play.replies == 2);
}
END_TEST

START_TEST(a_reply_that_does_not_end_is_bounded)
{
    char *reply = xmalloc(300000);
    memset(reply, 'x', 300000);
    memcpy(reply, "$9000000\r\n", 10);
    play_start_ready();
    fake_server_expect(play.server,
                       &(struct fake_step){.expect = "GET", .reply = reply, .length = 300000});
    free(reply);
    ck_assert_int_eq(play_call("GET"), 0);
    play_wait_closed();
    ck_assert_str_eq(play.told.data, "EPROTO;");
    ck_assert_str_eq(play.reason, "connection lost: the server's reply is too long");
}
END_TEST

static const struct {
    const char *said, *reason;
} UNASKED[] = {
    {":1\r\n", "connection lost: the server sent a reply to no command"},
    {"-ERR bye\r\n", "connection lost: ERR bye"},
    {"?", "connection lost: Protocol error, got \"?\" as reply type byte"},
};

/* hiredis's own asynchronous layer would end the process here. */
START_TEST(a_reply_to_no_command_closes)
{
    play_start_ready();
    fake_server_say(play.server, UNASKED[_i].said);
    play_wait_closed();
    ck_assert_str_eq(play.reason, UNASKED[_i].reason);
    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
}
END_TEST

START_TEST(replies_belong_to_calls_in_order)
{
    play_start_ready();
    fake_redis_expect(play.server, "A", ":1\r\n");
    fake_redis_expect_late(play.server, "B", ":2\r\n", 30);
    ck_assert_int_eq(play_call("A"), 0);
    ck_assert_int_eq(play_call("B"), 0);
    loop_wait(&play.loop, play.replies == 2);
    ck_assert_str_eq(play.told.data, "int 1;int 2;");
}
END_TEST

START_TEST(a_reply_may_come_byte_by_byte)
{
    static const char REPLY[] = "*2\r\n:12\r\n$2\r\nab\r\n";
    play_start_ready();
    fake_redis_expect_silence(play.server, "GET");
    ck_assert_int_eq(play_call("GET"), 0);
    loop_wait(&play.loop, fake_server_is_done(play.server));
    for (const char *at = REPLY; *at; at++) {
        fake_server_say(play.server, (char[]){*at, '\0'});
        uv_run(&play.loop, UV_RUN_NOWAIT);
    }
    loop_wait(&play.loop, play.replies == 1);
    ck_assert_str_eq(play.told.data, "array int 12, text 2 'ab';");
}
END_TEST

START_TEST(a_long_command_leaves_in_pieces)
{
    enum { LENGTH = 8 << 20 };
    char *value = xmalloc(LENGTH);
    memset(value, 'v', LENGTH);
    play.timeout_ms = 10000; /* all of it, however busy the machine is */
    play_start_ready();
    fake_redis_expect(play.server, "SET k <8388608 bytes>", "+OK\r\n");
    const char *argv[] = {"SET", "k", value};
    size_t lengths[] = {3, 1, LENGTH};
    ck_assert_int_eq(redis_call(play.redis, play_on_reply, &play.loop, 3, argv, lengths), 0);
    free(value);
    loop_wait(&play.loop, play.replies == 1);
    ck_assert_str_eq(play.told.data, "text 2 'OK';");
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)

int main(void)
{
    Suite *suite = suite_create("redis_replies");
    TCase *cases = tcase_create("redis_replies");
    tcase_add_checked_fixture(cases, play_begin, play_end);
    tcase_set_timeout(cases, 20);
    tcase_add_loop_test(cases, a_reply_is_told_as_it_came, 0, ROWS(REPLIES));
    tcase_add_loop_test(cases, a_hostile_reply_ends_the_connection_only, 0, ROWS(HOSTILE));
    tcase_add_test(cases, a_reply_that_does_not_end_is_bounded);
    tcase_add_loop_test(cases, a_reply_to_no_command_closes, 0, ROWS(UNASKED));
    tcase_add_test(cases, replies_belong_to_calls_in_order);
    tcase_add_test(cases, a_reply_may_come_byte_by_byte);
    tcase_add_test(cases, a_long_command_leaves_in_pieces);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
