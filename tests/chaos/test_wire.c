/* The wire to Redis and to the backend: cut, delayed, trickling, garbled at chosen bytes; answers
 * that are errors; a batch that arrives after its successor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/support/chaos.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"

enum { ANSWER_BYTES = 24, BODY_BYTES = 400 };

static struct chaos *begin(unsigned parts, unsigned workers)
{
    return chaos_begin(
        &(struct chaos_options){.parts = parts, .workers = workers, .through_proxy = true});
}

/* The visitors bring the bytes at which it is to happen. */
static void wait_fault(struct proxy *p, unsigned before)
{
    unsigned long long end = now_ms() + PATIENCE_MS;
    while (proxy_faults(p) == before) {
        ck_assert_msg(now_ms() < end, "no byte came at which the fault could happen");
        pause_ms(1);
    }
}

static void do_once(struct proxy *p, struct proxy_order order)
{
    unsigned before = proxy_faults(p);
    proxy_order(p, order);
    wait_fault(p, before);
}

static const enum proxy_fault cuts[] = {PROXY_CUT, PROXY_CUT_REQUEST, PROXY_GARBLE};

/* Wherever the connection breaks in an answer or a request of Redis, nothing is counted twice. */
START_TEST(the_wire_to_redis_breaks_at_any_byte)
{
    struct chaos *c = begin(STACK_COUNTER, 1 + (unsigned)_i % 2);
    while (chaos_goes_on(c)) {
        do_once(c->redis,
                (struct proxy_order){.fault = cuts[_i], .at = chaos_random(ANSWER_BYTES)});
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

START_TEST(the_wire_to_the_backend_breaks_at_any_byte)
{
    struct chaos *c = begin(STACK_ALL, 1 + (unsigned)_i % 2);
    while (chaos_goes_on(c)) {
        do_once(c->backend,
                (struct proxy_order){.fault = cuts[_i], .at = chaos_random(BODY_BYTES)});
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* Slow, very slow, and not at all. */
static const struct proxy_order slow[] = {
    {.fault = PROXY_DELAY, .ms = 200},
    {.fault = PROXY_DELAY, .ms = 1500},
    {.fault = PROXY_TRICKLE, .ms = 20},
    {.fault = PROXY_HOLD},
};

START_TEST(answers_are_late)
{
    bool backend = _i % 2;
    struct chaos *c = begin(backend ? STACK_ALL : STACK_COUNTER, 1);
    struct proxy *wire = backend ? c->backend : c->redis;
    while (chaos_goes_on(c)) {
        proxy_order(wire, slow[_i / 2]);
        chaos_pass(300, 2000);
        proxy_order(wire, (struct proxy_order){.fault = PROXY_PASS});
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* The proxy lies: Redis has counted, and an error, or nonsense, comes instead of its answer. */
static const char *const lies[] = {
    "-LOADING Redis is loading the dataset in memory\r\n",
    "-READONLY You can't write against a read only replica.\r\n",
    "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "-BUSY Redis is busy running a script.\r\n",
    "-NOSCRIPT No matching script. Please use EVAL.\r\n",
    "-MISCONF Errors writing to the AOF file: No space left on device\r\n",
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    "+OK\r\n",
    ":1\r\n",
    "$-1\r\n",
    "*2\r\n:1\r\n",
    "*2\r\n$1\r\nx\r\n:0\r\n",
    "*-1\r\n",
    "*2\r\n:-9\r\n:7\r\n",
};

START_TEST(redis_answers_with_errors_and_nonsense)
{
    unsigned i = 0;
    struct chaos *c = begin(STACK_COUNTER, 1 + (unsigned)_i);
    while (chaos_goes_on(c) || i < sizeof lies / sizeof *lies) {
        do_once(c->redis, (struct proxy_order){.fault = PROXY_REPLACE,
                                               .text = lies[i++ % (sizeof lies / sizeof *lies)]});
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* Says to Redis what was said before, and returns whether it was refused or only remembered. */
static bool deliver_late(int port, const char *bytes, size_t length)
{
    char answer[256] = "";
    int fd = net_connect(port);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
    ssize_t n = recv(fd, answer, sizeof answer - 1, 0);
    close(fd);
    ck_assert_int_gt(n, 0);
    answer[n] = '\0';
    bool remembered = strncmp(answer, "*2\r\n", 4) == 0 && strstr(answer + 4, "\r\n:1\r\n") != NULL;
    ck_assert_msg(remembered || strncmp(answer, "-STALE", 6) == 0, "Redis said: %s", answer);
    return strncmp(answer, "-STALE", 6) == 0;
}

/* A batch is kept on the wire, its connection breaks, it is repeated, others follow; then it comes.
 */
START_TEST(a_batch_arrives_after_its_successor)
{
    unsigned stale = 0;
    struct chaos *c = begin(STACK_COUNTER, 1);
    while (chaos_goes_on(c)) {
        size_t length = 0;
        char *batch = NULL;
        do {
            free(batch);
            batch = proxy_last_request(c->redis, &length);
        } while (length < 4 || memcmp(batch, "*8\r\n", 4) != 0);
        proxy_cut_all(c->redis);
        chaos_must_recover(c);
        load_wait_visits(c->load, 50, PATIENCE_MS);
        stale += deliver_late(c->stack->redis_port, batch, length);
        free(batch);
        chaos_must_recover(c);
    }
    ck_assert_uint_gt(stale, 0);
    chaos_end(c);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("wire");
    TCase *c = tcase_create("wire");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, the_wire_to_redis_breaks_at_any_byte, 0, 3);
    tcase_add_loop_test(c, the_wire_to_the_backend_breaks_at_any_byte, 0, 3);
    tcase_add_loop_test(c, answers_are_late, 0, 2 * (int)(sizeof slow / sizeof *slow));
    tcase_add_loop_test(c, redis_answers_with_errors_and_nonsense, 0, 2);
    tcase_add_test(c, a_batch_arrives_after_its_successor);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
