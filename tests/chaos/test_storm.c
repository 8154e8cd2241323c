/* All disasters together, in the order of chance, for as long as CHAOS_SECONDS says. */
#include "tests/support/chaos.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"

enum { ANSWER_BYTES = 24, BODY_BYTES = 400 };

static const unsigned parts[] = {STACK_REDIS, STACK_BACKEND, STACK_DATABASE};

static unsigned any_part(void)
{
    return parts[chaos_random(sizeof parts / sizeof *parts)];
}

static void kill_one(struct chaos *c)
{
    chaos_kill(c, any_part(), 1000);
}

static void freeze_one(struct chaos *c)
{
    chaos_freeze(c, any_part(), 10, 1500);
}

static void cut_redis(struct chaos *c)
{
    enum proxy_fault fault = PROXY_CUT + (enum proxy_fault)chaos_random(3);
    proxy_order(c->redis, (struct proxy_order){.fault = fault, .at = chaos_random(ANSWER_BYTES)});
    chaos_pass(10, 200);
}

static void cut_backend(struct chaos *c)
{
    enum proxy_fault fault = PROXY_CUT + (enum proxy_fault)chaos_random(3);
    proxy_order(c->backend, (struct proxy_order){.fault = fault, .at = chaos_random(BODY_BYTES)});
    chaos_pass(10, 200);
}

static void slow_down(struct chaos *c)
{
    struct proxy *wire = chaos_random(2) ? c->redis : c->backend;
    proxy_order(wire, (struct proxy_order){.fault = PROXY_DELAY, .ms = 1 + chaos_random(900)});
    chaos_pass(10, 1000);
}

static void lose_all(struct chaos *c)
{
    proxy_cut_all(c->redis);
    proxy_cut_all(c->backend);
}

/* By how many things can break: three parts, two wires. */
static void (*const disasters[])(struct chaos *c) = {
    kill_one,   kill_one,  kill_one,    freeze_one, freeze_one,
    freeze_one, cut_redis, cut_backend, slow_down,  lose_all,
};

START_TEST(everything_goes_wrong_again_and_again)
{
    struct chaos *c = chaos_begin(
        &(struct chaos_options){.parts = STACK_ALL, .workers = 2, .through_proxy = true});
    c->ends_ms = now_ms() + chaos_seconds() * 1000ULL;
    while (chaos_goes_on(c)) {
        chaos_pass(0, 300);
        for (unsigned more = 1 + chaos_random(3); more > 0; more--)
            disasters[chaos_random(sizeof disasters / sizeof *disasters)](c);
        proxy_order(c->redis, (struct proxy_order){.fault = PROXY_PASS});
        proxy_order(c->backend, (struct proxy_order){.fault = PROXY_PASS});
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("storm");
    TCase *c = tcase_create("storm");
    tcase_set_timeout(c, 120 + (int)chaos_seconds());
    tcase_add_test(c, everything_goes_wrong_again_and_again);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
