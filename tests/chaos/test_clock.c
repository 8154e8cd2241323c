/* The wall clock of services, Redis and NGINX jumps; a batch whose record Redis has forgotten. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/chaos.h"
#include "tests/support/net.h"
#include "tests/support/preload.h"
#include "tests/support/suite.h"

enum { HOUR = 3600, DAY = 24 * HOUR, YEAR = 365 * DAY, INEXACT_S = 30 };

static const int shifts[] = {HOUR, -HOUR, 2 * DAY, -2 * DAY, 10 * YEAR, -10 * YEAR, 0};

enum { SHIFTS = sizeof shifts / sizeof *shifts };

/* The seconds that a service writes into its answers. */
static long long service_time(int port)
{
    struct tm t = {0};
    const char *date = answer_field(ask_get(port, "/healthz", ""), "Date");
    ck_assert_msg(date && strptime(date, "%a, %d %b %Y %T GMT", &t), "no Date");
    return timegm(&t);
}

static long long redis_time(struct stack *s)
{
    static const char *const ask[] = {"TIME", NULL};
    char *text = stack_redis(s, ask);
    long long seconds = strtoll(text, NULL, 10);
    free(text);
    return seconds;
}

static void must_be_shifted(long long seconds, int shift)
{
    long long off = seconds - time(NULL) - shift;
    ck_assert_msg(off >= -INEXACT_S && off <= INEXACT_S, "the clock is %lld s off", off);
}

/* Ahead, back, by years: no visitor notices. */
START_TEST(the_wall_clock_jumps)
{
    preload_clock();
    struct chaos *c = chaos_begin(
        &(struct chaos_options){.parts = STACK_ALL | STACK_NGINX, .workers = 2, .all_whole = true});
    while (chaos_goes_on(c) || c->rounds < SHIFTS) {
        int shift = shifts[c->rounds % SHIFTS];
        preload_clock_shift(shift);
        chaos_pass(0, 300);
        must_be_shifted(service_time(c->stack->port), shift);
        must_be_shifted(service_time(c->stack->backend_port), shift);
        must_be_shifted(redis_time(c->stack), shift);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* How far Redis's clock jumps between a batch, whose answer is lost, and its repeat; and how many
 * numbers that costs. Redis keeps the record of a batch for a day. */
static const struct {
    int shift;
    unsigned burned;
} absences[] = {{DAY - HOUR, 0}, {DAY + HOUR, 1}, {-DAY - HOUR, 0}};

static struct stack *start_behind(struct proxy **ret_proxy)
{
    static const char *env[3];
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .unprepared = true});
    *ret_proxy = proxy_new(s->redis_port);
    env[0] = xasprintf("REDIS_URL=redis://127.0.0.1:%d/0", proxy_port(*ret_proxy));
    env[1] = "VISIT_TIMEOUT_MS=20000";
    s->options.frontend_env = env;
    stack_start_parts(s);
    return s;
}

/* The visitor's number is a gap further on, and no number comes twice. */
START_TEST(redis_forgets_a_batch_that_is_not_settled)
{
    struct proxy *wire;
    preload_clock();
    struct stack *s = start_behind(&wire);
    uint64_t before = answer_number(ask_get(s->port, "/", "Accept: application/json\r\n"));
    ck_assert_uint_eq(before, stack_counter(s));

    proxy_point_to(wire, s->no_database_port); /* nobody is there: no repeat arrives */
    proxy_order(wire, (struct proxy_order){.fault = PROXY_CUT});
    struct load *load = load_start(&(struct load_options){
        .port = {s->port}, .connections = 1, .requests = 1, .timeout_ms = PATIENCE_MS});
    while (proxy_faults(wire) == 0)
        pause_ms(1);
    ck_assert_uint_eq(stack_counter(s), before + 1);
    preload_clock_shift(absences[_i].shift);
    must_be_shifted(redis_time(s), absences[_i].shift);
    proxy_point_to(wire, s->redis_port);

    struct load_result r = load_finish(load, PATIENCE_MS);
    load_must_be_exactly(&r, before + 1 + absences[_i].burned);
    ck_assert_uint_eq(r.visits, 1);
    ck_assert_uint_eq(stack_counter(s), before + 1 + absences[_i].burned);
    load_done(&r);
    stack_stop(s);
    proxy_free(wire);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("clock");
    TCase *c = tcase_create("clock");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, the_wall_clock_jumps);
    tcase_add_loop_test(c, redis_forgets_a_batch_that_is_not_settled, 0,
                        sizeof absences / sizeof *absences);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
