/* The visit counter against a scripted Redis: batches, repeats, the floor, what is told when. */
#include "frontend/visits.h"
#include "frontend/metrics.h"
#include "frontend/visits_script.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/url.h"
#include "tests/support/fake_redis.h"
#include "tests/support/loop.h"
#include "tests/support/suite.h"
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 300, GUESTS = 8, MAX_WAITING = 6 };
/* A call of the script with these seq, n and floor. */
#define EVAL(numbers) "EVAL * 2 {tally}:visits {tally}:p:* " numbers

struct guest {
    struct batch_waiter waiter;
    unsigned calls;
    int status;
    int64_t number;
};

static uv_loop_t loop;
static uv_prepare_t turn;
static struct fake_server *server;
static struct url url;
static struct metrics *metrics;
static struct visits *visits;
static _Atomic int64_t floor_seen;
static struct guest guests[GUESTS];

static void on_number(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    struct guest *guest = CONTAINER_OF(waiter, struct guest, waiter);
    ck_assert((status == 0) == (result != NULL));
    guest->calls++;
    guest->status = status;
    guest->number = result ? visits_number(index, result) : 0;
}

static void on_total(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    struct guest *guest = CONTAINER_OF(waiter, struct guest, waiter);
    (void)index;
    guest->calls++;
    guest->status = status;
    guest->number = result ? visits_total(result) : 0;
}

static void on_turn(uv_prepare_t *prepare)
{
    (void)prepare;
    visits_flush(visits);
}

static void start(void)
{
    struct visits_options options = {.loop = &loop,
                                     .url = &url,
                                     .timeout_ms = TIMEOUT_MS,
                                     .max_waiting = MAX_WAITING,
                                     .floor = &floor_seen,
                                     .metrics = metrics};
    ck_assert_int_eq(visits_new(&options, &visits), 0);
    ck_assert_int_eq(uv_prepare_start(&turn, on_turn), 0);
}

static void start_up(void)
{
    start();
    loop_wait(&loop, visits_is_up(visits));
    ck_assert_int_eq(metrics_value(metrics, REDIS_UP), 1);
}

static int join(int guest)
{
    guests[guest] = (struct guest){.waiter.on_done = on_number};
    return visits_join(visits, &guests[guest].waiter);
}

static int join_total(int guest)
{
    guests[guest] = (struct guest){.waiter.on_done = on_total};
    return visits_join_total(visits, &guests[guest].waiter);
}

static void join_all(int first, int last)
{
    for (int i = first; i <= last; i++)
        ck_assert_int_eq(join(i), 0);
}

static void wait_for(int guest)
{
    loop_wait(&loop, guests[guest].calls == 1);
}

static void assert_number(int guest, int64_t number)
{
    ck_assert_uint_eq(guests[guest].calls, 1);
    ck_assert_int_eq(guests[guest].status, 0);
    ck_assert_int_eq(guests[guest].number, number);
}

static void assert_failed(int guest, int status)
{
    ck_assert_uint_eq(guests[guest].calls, 1);
    ck_assert_int_eq(guests[guest].status, status);
}

static void set_up(void)
{
    log_init("test", LOG_ERROR + 1);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(uv_prepare_init(&loop, &turn), 0);
    server = fake_redis_new(&loop);
    metrics = metrics_new(frontend_metrics, FRONTEND_METRICS);
    char *text = xasprintf("redis://127.0.0.1:%d/0", fake_server_port(server));
    ck_assert_ptr_null(url_parse(text, &url));
    free(text);
}

static void tear_down(void)
{
    uv_close((uv_handle_t *)&turn, NULL);
    visits_free(visits);
    fake_server_free(server);
    loop_end(&loop);
    url_done(&url);
    metrics_free(metrics);
    uv_library_shutdown();
}

/* ---- counting ---- */

START_TEST(all_who_wait_share_one_call)
{
    start_up();
    fake_redis_expect(server, EVAL("1 3 0"), "*2\r\n:103\r\n:0\r\n");
    join_all(0, 2);
    wait_for(2);

    for (int i = 0; i < 3; i++)
        assert_number(i, 101 + i);
    ck_assert(visits_is_settled(visits));
    ck_assert_int_eq(floor_seen, 103);
    ck_assert_uint_eq(metrics_value(metrics, VISITS), 3);
    ck_assert_uint_eq(metrics_value(metrics, VISIT_BATCHES), 1);
    ck_assert_uint_eq(metrics_value(metrics, VISIT_BATCH_SIZE), 1);
}
END_TEST

START_TEST(who_comes_during_a_call_takes_the_next_and_carries_the_floor)
{
    start_up();
    fake_redis_expect_late(server, EVAL("1 1 0"), "*2\r\n:7\r\n:0\r\n", 30);
    fake_redis_expect(server, EVAL("2 2 7"), "*2\r\n:9\r\n:0\r\n");
    join_all(0, 0);
    loop_wait(&loop, !visits_is_settled(visits));
    join_all(1, 2);
    wait_for(2);
    assert_number(0, 7);
    assert_number(1, 8);
    assert_number(2, 9);
}
END_TEST

START_TEST(who_leaves_burns_a_number)
{
    start_up();
    fake_redis_expect_late(server, EVAL("1 3 0"), "*2\r\n:3\r\n:0\r\n", 20);
    join_all(0, 2);
    loop_wait(&loop, !visits_is_settled(visits));
    visits_leave(visits, &guests[1].waiter);
    wait_for(2);
    assert_number(0, 1);
    assert_number(2, 3);
    ck_assert_uint_eq(guests[1].calls, 0);
}
END_TEST

START_TEST(a_full_queue_refuses_at_once)
{
    start_up();
    join_all(0, MAX_WAITING - 1);
    ck_assert_int_eq(join(MAX_WAITING), UV_ENOBUFS);
    ck_assert_uint_eq(metrics_value(metrics, VISITS_FULL), 1);
    fake_redis_expect(server, EVAL("1 6 0"), "*2\r\n:6\r\n:0\r\n");
    wait_for(0);
    ck_assert_uint_eq(guests[MAX_WAITING].calls, 0);
}
END_TEST

START_TEST(nobody_waits_for_a_redis_that_is_away)
{
    fake_server_refuse(server);
    start();
    ck_assert_int_eq(join(0), UV_ENOTCONN);
    ck_assert_int_eq(join_total(0), UV_ENOTCONN);
    loop_wait(&loop, metrics_value(metrics, REDIS_UP) == 0);
    ck_assert(!visits_is_up(visits));
    ck_assert(visits_is_settled(visits));
}
END_TEST

/* ---- exactly once ---- */

static const struct {
    const char *reply;
    enum fake_then then;
} LOST[] = {
    {"", FAKE_HANG_UP},
    {"", FAKE_RESET},
    {"*2\r\n:2", FAKE_HANG_UP},
    {"*2\r\n:2\r\n:0\r", FAKE_HANG_UP},
    {"-READONLY You can't write\r\n", FAKE_STAY},
    {"-OOM command not allowed\r\n", FAKE_STAY},
    {"-LOADING\r\n", FAKE_STAY},
    {"-NOSCRIPT\r\n", FAKE_STAY},
    {"-STALENESS is something else\r\n", FAKE_STAY},
    {"garbage\r\n", FAKE_STAY},
    {"$-1\r\n", FAKE_STAY},
    {":2\r\n", FAKE_STAY},
    {"+OK\r\n", FAKE_STAY},
    {"*0\r\n", FAKE_STAY},
    {"*1\r\n:2\r\n", FAKE_STAY},
    {"*3\r\n:2\r\n:0\r\n:0\r\n", FAKE_STAY},
    {"*2\r\n$1\r\n2\r\n:0\r\n", FAKE_STAY},
    {"*2\r\n:2\r\n$1\r\n0\r\n", FAKE_STAY},
    {"*2\r\n:2\r\n:-1\r\n", FAKE_STAY},
    {"*2\r\n:2\r\n:4\r\n", FAKE_STAY},
    {"*2\r\n:1\r\n:0\r\n", FAKE_STAY}, /* less than n */
    {"*2\r\n:-2\r\n:0\r\n", FAKE_STAY},
    {"*2\r\n:9007199254740993\r\n:0\r\n", FAKE_STAY},
    {"*2\r\n*1\r\n:2\r\n:0\r\n", FAKE_STAY},
};

/* The same sequence, the same n, although one of the two has left meanwhile. */
START_TEST(a_batch_without_good_answer_is_repeated)
{
    start_up();
    fake_server_expect(server, &(struct fake_step){.expect = EVAL("1 2 0"),
                                                   .reply = LOST[_i].reply,
                                                   .then = LOST[_i].then});
    fake_redis_expect(server, EVAL("1 0 0"), "*2\r\n:2\r\n:0\r\n");
    fake_redis_expect(server, EVAL("1 2 2"), "*2\r\n:2\r\n:1\r\n");
    join_all(0, 1);
    loop_wait(&loop, !visits_is_settled(visits));
    visits_leave(visits, &guests[0].waiter);
    loop_wait(&loop, visits_is_settled(visits));

    wait_for(1);
    if (guests[1].status == 0)
        assert_number(1, 2);
    else /* a slow machine: its time was over */
        assert_failed(1, UV_ETIMEDOUT);
    ck_assert_uint_eq(guests[0].calls, 0);
    ck_assert_uint_eq(metrics_value(metrics, VISIT_BATCHES_REPEATED), 1);
    ck_assert_uint_eq(metrics_value(metrics, VISIT_BATCHES_REMEMBERED), 1);
}
END_TEST

START_TEST(a_call_that_hangs_fails_its_visitors_but_is_settled)
{
    start_up();
    fake_redis_expect_silence(server, EVAL("1 1 0"));
    join_all(0, 0);
    wait_for(0);
    assert_failed(0, UV_ETIMEDOUT);
    ck_assert(!visits_is_settled(visits));

    fake_redis_expect(server, EVAL("1 0 0"), "*2\r\n:1\r\n:0\r\n");
    fake_redis_expect(server, EVAL("1 1 1"), "*2\r\n:1\r\n:1\r\n");
    loop_wait(&loop, visits_is_settled(visits));

    fake_redis_expect(server, EVAL("2 1 1"), "*2\r\n:2\r\n:0\r\n");
    join_all(1, 1);
    wait_for(1);
    assert_number(1, 2);
}
END_TEST

START_TEST(who_waits_for_the_next_call_fails_when_the_connection_ends)
{
    start_up();
    fake_server_expect(
        server, &(struct fake_step){
                    .expect = EVAL("1 1 0"), .reply = "", .delay_ms = 30, .then = FAKE_HANG_UP});
    fake_redis_expect(server, EVAL("1 0 0"), "*2\r\n:0\r\n:0\r\n");
    fake_redis_expect(server, EVAL("1 1 0"), "*2\r\n:1\r\n:0\r\n");
    join_all(0, 0);
    loop_wait(&loop, !visits_is_settled(visits));
    join_all(1, 1);
    wait_for(1);
    assert_failed(1, UV_ENOTCONN);
    ck_assert_uint_eq(guests[0].calls, 0);
    loop_wait(&loop, visits_is_settled(visits));
}
END_TEST

START_TEST(a_stale_batch_is_given_up_under_a_new_name)
{
    start_up();
    fake_redis_expect(server, EVAL("1 1 0"), "-STALE a later batch was counted already\r\n");
    join_all(0, 0);
    wait_for(0);
    assert_failed(0, UV_EPROTO);
    ck_assert(visits_is_settled(visits));
    ck_assert(visits_is_up(visits));

    fake_redis_expect(server, EVAL("1 1 0"), "*2\r\n:1\r\n:0\r\n");
    join_all(1, 1);
    wait_for(1);
    assert_number(1, 1);
    ck_assert_uint_eq(metrics_value(metrics, VISIT_BATCHES_STALE), 1);
    const char *first = strstr(fake_server_heard(server), VISITS_RECORD);
    const char *last = strstr(strrchr(fake_server_heard(server), 'E'), VISITS_RECORD);
    ck_assert_int_ne(strncmp(first, last, sizeof VISITS_RECORD + 30), 0);
}
END_TEST

/* ---- the greeting and the floor ---- */

START_TEST(the_floor_is_announced_before_the_first_visit)
{
    floor_seen = 500;
    fake_redis_expect(server, EVAL("0 0 500"), "*2\r\n:500\r\n:2\r\n");
    start_up();
    ck_assert_uint_eq(metrics_value(metrics, FLOOR_NEEDED), 1);
    ck_assert_ptr_null(strstr(fake_server_heard(server), " 1 "));
}
END_TEST

START_TEST(the_greeting_raises_the_floor)
{
    fake_redis_expect(server, EVAL("0 0 0"), "*2\r\n:900\r\n:0\r\n");
    start_up();
    ck_assert_int_eq(floor_seen, 900);
    ck_assert_uint_eq(metrics_value(metrics, FLOOR_NEEDED), 0);
}
END_TEST

START_TEST(the_floor_never_sinks)
{
    floor_seen = 500;
    fake_redis_expect(server, EVAL("0 0 500"), "*2\r\n:20\r\n:0\r\n");
    start_up();
    ck_assert_int_eq(floor_seen, 500);
}
END_TEST

static const char *const GREETINGS[] = {
    "-READONLY You can't write against a read only replica.\r\n",
    "-NOPERM\r\n",
    "+OK\r\n",
    "*2\r\n:-1\r\n:0\r\n",
    "",
};

START_TEST(a_server_that_cannot_count_is_not_up)
{
    fake_redis_expect(server, EVAL("0 0 0"), GREETINGS[_i]);
    start();
    loop_wait(&loop, metrics_value(metrics, REDIS_FAILURES) == 1);
    ck_assert(!visits_is_up(visits));
    ck_assert_int_eq(join(0), UV_ENOTCONN);
    loop_wait(&loop, visits_is_up(visits));
}
END_TEST

/* ---- the total ---- */

static const struct {
    const char *reply;
    int64_t floor, total;
} TOTALS[] = {
    {"$2\r\n42\r\n", 0, 42},
    {"$-1\r\n", 0, 0},
    {"$1\r\n5\r\n", 100, 100},
    {"$16\r\n9007199254740992\r\n", 0, INT64_C(9007199254740992)},
};

START_TEST(the_total_is_read)
{
    floor_seen = TOTALS[_i].floor;
    start_up();
    fake_redis_expect(server, "GET {tally}:visits", TOTALS[_i].reply);
    ck_assert_int_eq(join_total(0), 0);
    ck_assert_int_eq(join_total(1), 0);
    wait_for(1);
    assert_number(0, TOTALS[_i].total);
    assert_number(1, TOTALS[_i].total);
    ck_assert_int_eq(floor_seen, TOTALS[_i].total);
}
END_TEST

static const char *const NO_TOTALS[] = {
    "-WRONGTYPE\r\n",
    ":5\r\n",
    "*0\r\n",
    "$0\r\n\r\n",
    "$2\r\n-1\r\n",
    "$3\r\n1e3\r\n",
    "$3\r\n 12\r\n",
    "$17\r\n99999999999999999\r\n",
    "$16\r\n9007199254740993\r\n",
};

START_TEST(a_total_that_is_none_is_an_error)
{
    start_up();
    fake_redis_expect(server, "GET *", NO_TOTALS[_i]);
    ck_assert_int_eq(join_total(0), 0);
    wait_for(0);
    assert_failed(0, UV_EPROTO);
    ck_assert(visits_is_up(visits));
    ck_assert_int_eq(floor_seen, 0);
}
END_TEST

START_TEST(a_total_lost_with_the_connection_is_told)
{
    start_up();
    fake_redis_expect_hang_up(server, "GET *", "$5\r\n1");
    ck_assert_int_eq(join_total(0), 0);
    wait_for(0);
    assert_failed(0, UV_ECONNRESET);
}
END_TEST

START_TEST(who_leaves_the_total_is_not_told)
{
    start_up();
    fake_redis_expect(server, "GET *", "$1\r\n1\r\n");
    ck_assert_int_eq(join_total(0), 0);
    ck_assert_int_eq(join_total(1), 0);
    visits_leave_total(visits, &guests[0].waiter);
    wait_for(1);
    ck_assert_uint_eq(guests[0].calls, 0);
}
END_TEST

/* ---- the end ---- */

START_TEST(freed_with_everyone_waiting)
{
    start_up();
    fake_redis_expect_silence(server, EVAL("1 1 0"));
    fake_redis_expect_silence(server, "GET *");
    join_all(0, 0);
    ck_assert_int_eq(join_total(1), 0);
    loop_wait(&loop, fake_server_is_done(server));
    join_all(2, 2);
    ck_assert_int_eq(join_total(3), 0);
    uv_prepare_stop(&turn);
    visits_free(visits);
    visits = NULL;
    for (int i = 0; i < 4; i++)
        assert_failed(i, UV_ECANCELED);
}
END_TEST

START_TEST(the_script_travels_without_comments)
{
    char *script = visits_script();
    ck_assert_ptr_null(strstr(script, "\n--"));
    ck_assert_ptr_null(strstr(script, "\n "));
    ck_assert_ptr_nonnull(strstr(script, "redis.call('SET', KEYS[1]"));
    ck_assert_uint_lt(strlen(script), 1600);
    free(script);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)

static void add_counting(TCase *cases)
{
    tcase_add_test(cases, all_who_wait_share_one_call);
    tcase_add_test(cases, who_comes_during_a_call_takes_the_next_and_carries_the_floor);
    tcase_add_test(cases, who_leaves_burns_a_number);
    tcase_add_test(cases, a_full_queue_refuses_at_once);
    tcase_add_test(cases, nobody_waits_for_a_redis_that_is_away);
    tcase_add_loop_test(cases, a_batch_without_good_answer_is_repeated, 0, ROWS(LOST));
    tcase_add_test(cases, a_call_that_hangs_fails_its_visitors_but_is_settled);
    tcase_add_test(cases, who_waits_for_the_next_call_fails_when_the_connection_ends);
    tcase_add_test(cases, a_stale_batch_is_given_up_under_a_new_name);
}

static void add_others(TCase *cases)
{
    tcase_add_test(cases, the_floor_is_announced_before_the_first_visit);
    tcase_add_test(cases, the_greeting_raises_the_floor);
    tcase_add_test(cases, the_floor_never_sinks);
    tcase_add_loop_test(cases, a_server_that_cannot_count_is_not_up, 0, ROWS(GREETINGS));
    tcase_add_loop_test(cases, the_total_is_read, 0, ROWS(TOTALS));
    tcase_add_loop_test(cases, a_total_that_is_none_is_an_error, 0, ROWS(NO_TOTALS));
    tcase_add_test(cases, a_total_lost_with_the_connection_is_told);
    tcase_add_test(cases, who_leaves_the_total_is_not_told);
    tcase_add_test(cases, freed_with_everyone_waiting);
    tcase_add_test(cases, the_script_travels_without_comments);
}

int main(void)
{
    Suite *suite = suite_create("visits");
    TCase *cases = tcase_create("visits");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 20);
    add_counting(cases);
    add_others(cases);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
