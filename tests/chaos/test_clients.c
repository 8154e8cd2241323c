/* Clients and the frontend's own limits: no descriptors, a thousand slow clients, clients that
 * vanish, a rolling restart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/support/ask.h"
#include "tests/support/chaos.h"
#include "tests/support/crowd.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"

#define GET "GET / HTTP/1.1\r\nHost: x\r\n"

enum { SLOW_CLIENTS = 1000, VANISHING = 40, CROWD = 200 };

static void limit_descriptors(struct process *p, rlim_t limit)
{
    struct rlimit old;
    ck_assert_int_eq(prlimit(p->pid, RLIMIT_NOFILE, NULL, &old), 0);
    old.rlim_cur = limit < old.rlim_max ? limit : old.rlim_max;
    ck_assert_int_eq(prlimit(p->pid, RLIMIT_NOFILE, &old, NULL), 0);
}

/* A crowd finds no descriptor left; those who are connected are served on, and then the crowd is.
 */
START_TEST(descriptors_are_exhausted)
{
    int crowd[CROWD];
    struct chaos *c = chaos_begin(&(struct chaos_options){.parts = STACK_COUNTER});
    while (chaos_goes_on(c)) {
        limit_descriptors(c->stack->frontend[0], c->before[0].descriptors + 40);
        for (int i = 0; i < CROWD; i++)
            ck_assert_int_ge(crowd[i] = net_connect(c->stack->port), 0);
        load_wait_visits(c->load, 100, PATIENCE_MS);
        for (int i = 0; i < CROWD; i++)
            close(crowd[i]);
        limit_descriptors(c->stack->frontend[0], RLIM_INFINITY);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* Each sends a byte now and then, and never gets to the end of its request. */
START_TEST(a_thousand_clients_are_slow)
{
    static int slow[SLOW_CLIENTS];
    size_t at = 0;
    struct chaos *c =
        chaos_begin(&(struct chaos_options){.parts = STACK_COUNTER, .crowd = SLOW_CLIENTS});
    for (int i = 0; i < SLOW_CLIENTS; i++)
        ck_assert_int_ge(slow[i] = net_connect(c->stack->port), 0);
    while (chaos_goes_on(c)) {
        for (int i = 0; i < SLOW_CLIENTS; i++) /* the service may have hung up on it */
            (void)send(slow[i], GET + at % (sizeof GET - 1), 1, MSG_NOSIGNAL);
        at++;
        chaos_must_recover(c);
    }
    for (int i = 0; i < SLOW_CLIENTS; i++)
        close(slow[i]);
    chaos_end(c);
}
END_TEST

START_TEST(clients_vanish_in_the_middle)
{
    struct chaos *c = chaos_begin(
        &(struct chaos_options){.parts = STACK_ALL, .workers = 2, .crowd = SLOW_CLIENTS});
    while (chaos_goes_on(c)) {
        chaos_pass(20, 60);
        for (int i = 0; i < VANISHING; i++)
            ck_assert(crowd_vanish(c->stack->port, chaos_random(1U << 31)));
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* NGINX leaves a failed server out for a second: the next may go when it asks this one again. */
static void wait_served_by(struct chaos *c, int i)
{
    unsigned long long end = now_ms() + PATIENCE_MS;
    int port = c->stack->frontend_port[i];
    while (strstr(ask_get(port, "/metrics", "")->body, "tally_visits_total 0")) {
        ck_assert_uint_lt(now_ms(), end);
        pause_ms(5);
    }
}

/* One after the other, each replaced when it has left: nobody notices. */
START_TEST(a_rolling_restart_fails_no_request)
{
    static const char *const delay[] = {"DRAIN_DELAY_MS=200", NULL};
    struct chaos *c = chaos_begin(
        &(struct chaos_options){.parts = STACK_ALL | STACK_SECOND_FRONTEND | STACK_NGINX,
                                .all_whole = true,
                                .more_env = delay});
    while (chaos_goes_on(c)) {
        int i = (int)(c->rounds % FRONTENDS);
        process_terminate(c->stack->frontend[i]);
        ck_assert_int_eq(process_wait(c->stack->frontend[i], PATIENCE_MS), 0);
        chaos_pass(0, 300);
        stack_start_frontend(c->stack, i);
        stack_wait_redis_up(c->stack, i);
        wait_served_by(c, i);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("clients");
    TCase *c = tcase_create("clients"), *rolling = tcase_create("rolling");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, descriptors_are_exhausted);
    tcase_add_test(c, a_thousand_clients_are_slow);
    tcase_add_test(c, clients_vanish_in_the_middle);
    suite_add_tcase(suite, c);
    tcase_set_timeout(rolling, 60);
    tcase_add_test(rolling, a_rolling_restart_fails_no_request);
    suite_add_tcase(suite, rolling);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
