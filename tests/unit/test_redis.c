/* The Redis client against a scripted server: states, replies, hostile replies, time-outs, ends. */
#include "lib/redis.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/url.h"
#include "tests/support/fake_redis.h"
#include "tests/support/loop.h"
#include "tests/support/suite.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_MS = 300 };

static uv_loop_t loop;
static struct fake_server *server;
static struct url url;
static struct redis *redis;
static struct buf told;   /* every reply and every end of a call, `;` behind each */
static struct buf states; /* every state */
static char reason[300];  /* of the last state */
static unsigned replies;
static uint64_t changed_ms, pauses_ms[8]; /* from each CLOSED to the next CONNECTING */
static unsigned pauses;

static void put_value(const struct redis_value *value)
{
    static const char *const NAMES[] = {"nil", "int", "text", "error", "array"};
    buf_puts(&told, NAMES[value->kind]);
    if (value->kind == REDIS_INTEGER)
        buf_printf(&told, " %lld", (long long)value->integer);
    if (value->kind == REDIS_TEXT || value->kind == REDIS_ERROR)
        buf_printf(&told, " %zu '%s'", value->length, value->text);
    for (size_t i = 0; i < value->count; i++) {
        buf_puts(&told, i ? ", " : " ");
        put_value(&value->items[i]);
    }
}

static void on_reply(void *arg, int status, const struct redis_value *value)
{
    ck_assert_ptr_eq(arg, &loop);
    ck_assert((status == 0) == (value != NULL));
    replies++;
    if (status)
        buf_puts(&told, uv_err_name(status));
    else
        put_value(value);
    buf_puts(&told, ";");
}

static void on_state(struct redis *r, enum redis_state state, const char *why, void *context)
{
    static const char *const NAMES[] = {"closed ", "connecting ", "ready "};
    ck_assert_ptr_eq(context, &told);
    ck_assert_int_eq(redis_state(r), state);
    if (state == REDIS_CONNECTING && changed_ms && pauses < 8)
        pauses_ms[pauses++] = uv_now(&loop) - changed_ms;
    changed_ms = uv_now(&loop);
    buf_puts(&states, NAMES[state]);
    snprintf(reason, sizeof reason, "%s", why);
}

static struct redis_options options(const char *form)
{
    char *text = xasprintf(form, fake_server_port(server));
    ck_assert_ptr_null(url_parse(text, &url));
    free(text);
    return (struct redis_options){.loop = &loop,
                                  .url = &url,
                                  .timeout_ms = TIMEOUT_MS,
                                  .context = &told,
                                  .on_state = on_state};
}

static void start_with(const char *form)
{
    struct redis_options o = options(form);
    ck_assert_int_eq(redis_new(&o, &redis), 0);
    ck_assert_int_eq(redis_state(redis), REDIS_CLOSED);
}

static void start(void)
{
    start_with("redis://127.0.0.1:%d");
}

static void start_ready(void)
{
    start();
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
    buf_clear(&states);
    buf_puts(&states, "");
}

static void wait_closed(void)
{
    loop_wait(&loop, states.data && strstr(states.data, "closed"));
}

static int call(const char *command)
{
    const char *argv[] = {command};
    unsigned before = replies;
    int error = redis_call(redis, on_reply, &loop, 1, argv, NULL);
    ck_assert_uint_eq(replies, before);
    return error;
}

static void set_up(void)
{
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    server = fake_redis_new(&loop);
    buf_puts(&told, "");
    buf_puts(&states, "");
}

static void tear_down(void)
{
    redis_free(redis);
    fake_server_free(server);
    loop_end(&loop);
    url_done(&url);
    buf_done(&told);
    buf_done(&states);
    uv_library_shutdown();
}

/* ---- connecting ---- */

START_TEST(it_is_ready_only_after_the_ping)
{
    fake_redis_expect_late(server, "PING", "+PONG\r\n", 50);
    start();
    loop_wait(&loop, fake_server_is_done(server));
    ck_assert_int_eq(redis_state(redis), REDIS_CONNECTING);
    ck_assert_int_eq(call("GET"), UV_ENOTCONN);

    loop_wait(&loop, redis_state(redis) == REDIS_READY);

    ck_assert_str_eq(states.data, "connecting ready ");
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
    start_with(HANDSHAKES[_i].url);
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
    ck_assert_str_eq(fake_server_heard(server), HANDSHAKES[_i].heard);
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
    fake_redis_expect(server, REFUSALS[_i].command, REFUSALS[_i].reply);
    start_with("redis://tally:secret@127.0.0.1:%d/1");
    wait_closed();

    ck_assert_str_eq(states.data, "connecting closed ");
    ck_assert_str_eq(reason, REFUSALS[_i].reason);
    ck_assert_ptr_null(strstr(reason, "secret"));
}
END_TEST

START_TEST(a_server_that_says_nothing_is_given_up_in_time)
{
    fake_redis_expect_silence(server, "PING");
    start();
    wait_closed();
    ck_assert_str_eq(reason, "cannot connect in time: connected, but no answer");

    loop_wait(&loop, redis_state(redis) == REDIS_READY);
}
END_TEST

START_TEST(a_server_that_is_away_at_start_is_found_later)
{
    fake_server_refuse(server);
    start();
    wait_closed();
    ck_assert_str_eq(reason, "cannot connect: connection refused");

    fake_server_listen(server);
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
}
END_TEST

START_TEST(a_server_that_turns_everyone_away_is_quoted)
{
    fake_redis_expect_hang_up(server, "PING", "-ERR max number of clients reached\r\n");
    start();
    wait_closed();
    ck_assert_str_eq(reason, "PING was refused: ERR max number of clients reached");
}
END_TEST

START_TEST(a_name_that_does_not_exist_is_looked_up_again)
{
    start_with("redis://a..b:%d");
    wait_closed();
    ck_assert_msg(strncmp(reason, "cannot look up the host: ", 25) == 0, "%s", reason);
    loop_wait(&loop, strstr(states.data, "closed connecting closed"));
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
    fake_server_free(server);
    server = fake_redis_new_on(&loop, _i ? "::1" : "127.0.0.1");
    start_with(_i ? "redis://[::1]:%d" : "redis://localhost:%d");
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
}
END_TEST

START_TEST(pauses_grow_until_a_call_succeeds)
{
    fake_server_refuse(server);
    start();
    loop_wait(&loop, pauses == 3);
    ck_assert_uint_ge(pauses_ms[0], 100);
    ck_assert_uint_ge(pauses_ms[1], 200);
    ck_assert_uint_ge(pauses_ms[2], 400);

    fake_server_listen(server);
    fake_redis_expect(server, "GET", ":1\r\n");
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
    ck_assert_int_eq(call("GET"), 0);
    loop_wait(&loop, replies == 1);
    redis_reset(redis, "test");
    pauses = 0;
    loop_wait(&loop, pauses == 1);
    ck_assert_uint_ge(pauses_ms[0], 100);
    ck_assert_uint_lt(pauses_ms[0], 400);
}
END_TEST

START_TEST(an_error_reply_does_not_end_the_back_off)
{
    start_ready();
    for (unsigned i = 0; i < 3; i++) {
        fake_redis_expect(server, "GET", "-OOM\r\n");
        ck_assert_int_eq(call("GET"), 0);
        loop_wait(&loop, replies == i + 1);
        redis_reset(redis, "OOM");
        loop_wait(&loop, redis_state(redis) == REDIS_READY);
    }
    ck_assert_uint_ge(pauses_ms[2], 400);
}
END_TEST

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
    start_ready();
    fake_redis_expect(server, "GET", REPLIES[_i].reply);
    ck_assert_int_eq(call("GET"), 0);
    loop_wait(&loop, replies == 1);

    ck_assert_str_eq(told.data, REPLIES[_i].told);
    ck_assert_int_eq(redis_state(redis), REDIS_READY);
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
    start_ready();
    fake_redis_expect(server, "GET", HOSTILE[_i].reply);
    ck_assert_int_eq(call("GET"), 0);
    wait_closed();
    ck_assert_uint_eq(replies, 1);
    if (HOSTILE[_i].told)
        ck_assert_str_eq(told.data, HOSTILE[_i].told);

    loop_wait(&loop, redis_state(redis) == REDIS_READY);
    fake_redis_expect(server, "GET", ":1\r\n");
    ck_assert_int_eq(call("GET"), 0);
    loop_wait(&loop, replies == 2);
}
END_TEST

START_TEST(a_reply_that_does_not_end_is_bounded)
{
    char *reply = xmalloc(300000);
    memset(reply, 'x', 300000);
    memcpy(reply, "$9000000\r\n", 10);
    start_ready();
    fake_server_expect(server,
                       &(struct fake_step){.expect = "GET", .reply = reply, .length = 300000});
    free(reply);
    ck_assert_int_eq(call("GET"), 0);
    wait_closed();
    ck_assert_str_eq(told.data, "EPROTO;");
    ck_assert_str_eq(reason, "connection lost: the server's reply is too long");
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
    start_ready();
    fake_server_say(server, UNASKED[_i].said);
    wait_closed();
    ck_assert_str_eq(reason, UNASKED[_i].reason);
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
}
END_TEST

START_TEST(replies_belong_to_calls_in_order)
{
    start_ready();
    fake_redis_expect(server, "A", ":1\r\n");
    fake_redis_expect_late(server, "B", ":2\r\n", 30);
    ck_assert_int_eq(call("A"), 0);
    ck_assert_int_eq(call("B"), 0);
    loop_wait(&loop, replies == 2);
    ck_assert_str_eq(told.data, "int 1;int 2;");
}
END_TEST

START_TEST(a_reply_may_come_byte_by_byte)
{
    static const char REPLY[] = "*2\r\n:12\r\n$2\r\nab\r\n";
    start_ready();
    fake_redis_expect_silence(server, "GET");
    ck_assert_int_eq(call("GET"), 0);
    loop_wait(&loop, fake_server_is_done(server));
    for (const char *at = REPLY; *at; at++) {
        fake_server_say(server, (char[]){*at, '\0'});
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    loop_wait(&loop, replies == 1);
    ck_assert_str_eq(told.data, "array int 12, text 2 'ab';");
}
END_TEST

START_TEST(a_long_command_leaves_in_pieces)
{
    enum { LENGTH = 8 << 20 };
    char *value = xmalloc(LENGTH);
    memset(value, 'v', LENGTH);
    start_ready();
    fake_redis_expect(server, "SET k <8388608 bytes>", "+OK\r\n");
    const char *argv[] = {"SET", "k", value};
    size_t lengths[] = {3, 1, LENGTH};
    ck_assert_int_eq(redis_call(redis, on_reply, &loop, 3, argv, lengths), 0);
    free(value);
    loop_wait(&loop, replies == 1);
    ck_assert_str_eq(told.data, "text 2 'OK';");
}
END_TEST

/* ---- ends ---- */

START_TEST(a_call_without_answer_times_out_with_all_behind_it)
{
    start_ready();
    fake_redis_expect_silence(server, "A");
    fake_redis_expect_silence(server, "B");
    uint64_t begun_ms = uv_now(&loop);
    ck_assert_int_eq(call("A"), 0);
    ck_assert_int_eq(call("B"), 0);
    wait_closed();

    ck_assert_str_eq(told.data, "ETIMEDOUT;ETIMEDOUT;");
    ck_assert_str_eq(reason, "no answer in time");
    ck_assert_uint_ge(uv_now(&loop) - begun_ms, TIMEOUT_MS);
    ck_assert_int_eq(call("C"), UV_ENOTCONN);
}
END_TEST

/* The timer of the first call must not end the second before its time. */
START_TEST(each_call_has_its_own_deadline)
{
    start_ready();
    fake_redis_expect_late(server, "A", ":1\r\n", TIMEOUT_MS * 2 / 3);
    ck_assert_int_eq(call("A"), 0);
    loop_wait(&loop, replies == 1);
    fake_redis_expect_late(server, "B", ":2\r\n", TIMEOUT_MS * 2 / 3);
    ck_assert_int_eq(call("B"), 0);
    loop_wait(&loop, replies == 2);
    ck_assert_str_eq(told.data, "int 1;int 2;");
}
END_TEST

static const struct {
    const char *reply;
    enum fake_then then;
} LOST[] = {{"", FAKE_HANG_UP}, {"$5\r\nhal", FAKE_HANG_UP}, {"", FAKE_RESET}};

START_TEST(a_connection_lost_in_flight_is_told_and_made_anew)
{
    start_ready();
    fake_redis_expect_silence(server, "A");
    fake_server_expect(
        server, &(struct fake_step){.expect = "B", .reply = LOST[_i].reply, .then = LOST[_i].then});
    ck_assert_int_eq(call("A"), 0);
    ck_assert_int_eq(call("B"), 0);
    wait_closed();
    ck_assert_str_eq(told.data, "ECONNRESET;ECONNRESET;");

    loop_wait(&loop, redis_state(redis) == REDIS_READY);
    ck_assert_str_eq(states.data, "closed connecting ready ");
    ck_assert_uint_eq(fake_server_accepted(server), 2);
}
END_TEST

START_TEST(a_reply_before_the_hang_up_counts)
{
    start_ready();
    fake_redis_expect_hang_up(server, "A", ":1\r\n");
    ck_assert_int_eq(call("A"), 0);
    wait_closed();
    ck_assert_str_eq(told.data, "int 1;");
}
END_TEST

START_TEST(reset_ends_calls_and_comes_back)
{
    start_ready();
    fake_redis_expect_silence(server, "A");
    ck_assert_int_eq(call("A"), 0);
    loop_wait(&loop, fake_server_is_done(server));
    redis_reset(redis, "of no use");
    ck_assert_str_eq(told.data, "ECONNRESET;");
    ck_assert_str_eq(reason, "of no use");
    redis_reset(redis, "again"); /* nothing left to reset */
    ck_assert_str_eq(states.data, "closed ");
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
}
END_TEST

static void on_reply_reset(void *arg, int status, const struct redis_value *value)
{
    on_reply(arg, status, value);
    redis_reset(redis, "READONLY");
    redis_reset(redis, "the first reason stays");
    ck_assert_str_eq(states.data, "");
    ck_assert_int_eq(call("C"), UV_ENOTCONN);
}

START_TEST(reset_inside_a_reply_waits_for_its_end)
{
    start_ready();
    fake_redis_expect(server, "A", "-READONLY\r\n");
    fake_redis_expect_silence(server, "B");
    ck_assert_int_eq(redis_call(redis, on_reply_reset, &loop, 1, (const char *[]){"A"}, NULL), 0);
    ck_assert_int_eq(call("B"), 0);
    wait_closed();
    ck_assert_str_eq(told.data, "error 8 'READONLY';ECONNRESET;");
    ck_assert_str_eq(reason, "READONLY");
    fake_server_forget(server);
}
END_TEST

/* ---- the owner's greeting ---- */

static void on_greeting(void *arg, int status, const struct redis_value *value)
{
    on_reply(arg, status, value);
    if (status == 0 && value->kind != REDIS_ERROR)
        redis_accept(redis);
}

static void greet(struct redis *r, void *context)
{
    (void)context;
    const char *argv[] = {"HI"};
    ck_assert_int_eq(redis_call(r, on_reply, &loop, 1, argv, NULL), UV_ENOTCONN);
    ck_assert_int_eq(redis_greet(r, on_greeting, &loop, 1, argv, NULL), 0);
}

static void start_greeting(void)
{
    struct redis_options o = options("redis://127.0.0.1:%d");
    o.on_greet = greet;
    ck_assert_int_eq(redis_new(&o, &redis), 0);
}

START_TEST(ready_follows_the_greeting)
{
    fake_redis_expect_late(server, "HI", "+WELCOME\r\n", 20);
    start_greeting();
    loop_wait(&loop, redis_state(redis) == REDIS_READY);
    ck_assert_str_eq(told.data, "text 7 'WELCOME';");
    ck_assert_str_eq(fake_server_heard(server), "PING\nHI\n");
    ck_assert_int_eq(redis_greet(redis, on_reply, &loop, 1, (const char *[]){"HI"}, NULL),
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
    fake_redis_expect(server, "HI", GREETINGS[_i].reply);
    start_greeting();
    wait_closed();
    ck_assert_str_eq(told.data, GREETINGS[_i].told);
    ck_assert_str_eq(reason, GREETINGS[_i].reason);
}
END_TEST

/* ---- freed in every place ---- */

static void free_now(void)
{
    redis_free(redis);
    redis = NULL;
}

START_TEST(freed_before_the_first_turn)
{
    start();
    free_now();
    ck_assert_str_eq(states.data, "");
}
END_TEST

START_TEST(freed_while_it_looks_up_or_connects)
{
    start_with(_i % 2 ? "redis://localhost:%d" : "redis://127.0.0.1:%d");
    for (int turns = 0; turns <= _i / 2; turns++)
        uv_run(&loop, UV_RUN_ONCE);
    free_now();
}
END_TEST

START_TEST(freed_in_the_handshake)
{
    fake_redis_expect_silence(server, "PING");
    start();
    loop_wait(&loop, fake_server_is_done(server));
    free_now();
}
END_TEST

START_TEST(freed_during_the_pause)
{
    fake_server_refuse(server);
    start();
    wait_closed();
    free_now();
}
END_TEST

START_TEST(freed_when_ready)
{
    start_ready();
    free_now();
    ck_assert_str_eq(states.data, "");
}
END_TEST

START_TEST(freed_with_calls_in_flight)
{
    start_ready();
    fake_redis_expect_silence(server, "A");
    fake_redis_expect_silence(server, "B");
    ck_assert_int_eq(call("A"), 0);
    ck_assert_int_eq(call("B"), 0);
    if (_i)
        loop_wait(&loop, fake_server_is_done(server));
    free_now();
    ck_assert_str_eq(told.data, "ECANCELED;ECANCELED;");
    fake_server_forget(server);
}
END_TEST

static void on_reply_free(void *arg, int status, const struct redis_value *value)
{
    on_reply(arg, status, value);
    free_now();
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
    start_ready();
    fake_server_expect(server, &(struct fake_step){.expect = "A",
                                                   .reply = LAST_REPLIES[_i].reply,
                                                   .then = LAST_REPLIES[_i].then});
    ck_assert_int_eq(redis_call(redis, on_reply_free, &loop, 1, (const char *[]){"A"}, NULL), 0);
    fake_redis_expect_silence(server, "B");
    ck_assert_int_eq(call("B"), 0);
    loop_wait(&loop, !redis);
    ck_assert_str_eq(told.data, LAST_REPLIES[_i].told);
    ck_assert_str_eq(states.data, "");
    fake_server_forget(server);
}
END_TEST

static enum redis_state free_in;

static void on_state_free(struct redis *r, enum redis_state state, const char *why, void *context)
{
    on_state(r, state, why, context);
    if (state == free_in)
        free_now();
}

START_TEST(freed_inside_a_change_of_state)
{
    free_in = (enum redis_state)_i;
    if (free_in == REDIS_CLOSED)
        fake_redis_expect_hang_up(server, "PING", "");
    struct redis_options o = options("redis://127.0.0.1:%d");
    o.on_state = on_state_free;
    ck_assert_int_eq(redis_new(&o, &redis), 0);
    loop_wait(&loop, !redis);
}
END_TEST

static void greet_free(struct redis *r, void *context)
{
    greet(r, context);
    free_now();
}

START_TEST(freed_inside_the_greeting)
{
    struct redis_options o = options("redis://127.0.0.1:%d");
    o.on_greet = greet_free;
    ck_assert_int_eq(redis_new(&o, &redis), 0);
    loop_wait(&loop, !redis);
    ck_assert_str_eq(told.data, "ECANCELED;");
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
    ck_assert_ptr_null(url_parse(URLS[_i].url, &url));
    const char *problem = redis_check_url(&url);
    if (!URLS[_i].problem) {
        ck_assert_ptr_null(problem);
        return;
    }
    ck_assert_ptr_nonnull(problem);
    ck_assert_ptr_nonnull(strstr(problem, URLS[_i].problem));
    struct redis_options o = {.loop = &loop, .url = &url, .timeout_ms = 1};
    ck_assert_int_eq(redis_new(&o, &redis), UV_EINVAL);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)

static TCase *new_case(Suite *suite, const char *name)
{
    TCase *cases = tcase_create(name);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 20);
    suite_add_tcase(suite, cases);
    return cases;
}

static void add_connecting(TCase *cases)
{
    tcase_add_test(cases, it_is_ready_only_after_the_ping);
    tcase_add_loop_test(cases, the_url_makes_the_handshake, 0, ROWS(HANDSHAKES));
    tcase_add_loop_test(cases, a_refused_handshake_closes_and_tells_no_secret, 0, ROWS(REFUSALS));
    tcase_add_test(cases, a_server_that_says_nothing_is_given_up_in_time);
    tcase_add_test(cases, a_server_that_is_away_at_start_is_found_later);
    tcase_add_test(cases, a_server_that_turns_everyone_away_is_quoted);
    tcase_add_test(cases, a_name_that_does_not_exist_is_looked_up_again);
    tcase_add_loop_test(cases, both_kinds_of_addresses_work, 0, address_kinds());
    tcase_add_test(cases, pauses_grow_until_a_call_succeeds);
    tcase_add_test(cases, an_error_reply_does_not_end_the_back_off);
    tcase_add_loop_test(cases, urls_are_checked, 0, ROWS(URLS));
}

static void add_replies(TCase *cases)
{
    tcase_add_loop_test(cases, a_reply_is_told_as_it_came, 0, ROWS(REPLIES));
    tcase_add_loop_test(cases, a_hostile_reply_ends_the_connection_only, 0, ROWS(HOSTILE));
    tcase_add_test(cases, a_reply_that_does_not_end_is_bounded);
    tcase_add_loop_test(cases, a_reply_to_no_command_closes, 0, ROWS(UNASKED));
    tcase_add_test(cases, replies_belong_to_calls_in_order);
    tcase_add_test(cases, a_reply_may_come_byte_by_byte);
    tcase_add_test(cases, a_long_command_leaves_in_pieces);
    tcase_add_test(cases, ready_follows_the_greeting);
    tcase_add_loop_test(cases, a_greeting_not_accepted_closes, 0, ROWS(GREETINGS));
}

static void add_ends(TCase *cases)
{
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
}

int main(void)
{
    Suite *suite = suite_create("redis");
    add_connecting(new_case(suite, "connecting"));
    add_replies(new_case(suite, "replies"));
    add_ends(new_case(suite, "ends"));
    return suite_run(suite);
}
