/* Through NGINX: what the services promise holds for those who come in by the front door. */
#include <stdlib.h>
#include <string.h>
#include "tests/support/ask.h"
#include "tests/support/load.h"
#include "tests/support/net.h"
#include "tests/support/stack.h"
#include "tests/support/suite.h"

#define JSON "Accept: application/json\r\n"

START_TEST(visits_are_exact_through_the_edge)
{
    struct stack *s = stack_start(
        &(struct stack_options){.parts = STACK_ALL | STACK_SECOND_FRONTEND | STACK_NGINX});
    size_t visits = load_scale(8000);
    struct load_result r = load_finish(
        load_start(&(struct load_options){.port = {s->nginx_port}, .requests = visits}), 60000);
    load_must_be_answered(&r);
    ck_assert_uint_eq(r.visits, visits);
    load_must_be_exactly(&r, 1);
    ck_assert_uint_eq(stack_counter(s), visits);
    load_done(&r);
    stack_stop(s);
}
END_TEST

/* NGINX leaves a failed server out for a second: waits until it asks this one again. */
static void wait_served_by(struct stack *s, int i)
{
    unsigned long long end = now_ms() + PATIENCE_MS;
    while (strstr(ask_get(s->frontend_port[i], "/metrics", "")->body, "tally_visits_total 0")) {
        ck_assert_uint_lt(now_ms(), end);
        pause_ms(5);
    }
}

/* One of two frontends leaves as in a rolling update, then it comes back and the other leaves. */
START_TEST(a_leaving_frontend_fails_no_request_and_counts_none_twice)
{
    struct stack *s = stack_start(&(struct stack_options){
        .parts = STACK_COUNTER | STACK_SECOND_FRONTEND | STACK_NGINX, .workers = 1});
    struct load *load = load_start(&(struct load_options){.port = {s->nginx_port}});
    for (int i = 0; i < FRONTENDS; i++) {
        load_wait_visits(load, load_scale(2000), 20000);
        process_terminate(s->frontend[i]);
        ck_assert_int_eq(process_wait(s->frontend[i], PATIENCE_MS), 0);
        load_wait_visits(load, load_scale(1000), 20000);
        stack_start_frontend(s, i);
        stack_wait_redis_up(s, i);
        wait_served_by(s, i);
    }
    load_stop(load);
    struct load_result r = load_finish(load, 20000);
    load_must_be_answered(&r);
    ck_assert_uint_eq(load_count_status(&r, 200), r.count);
    load_must_be_exactly(&r, 1);
    ck_assert_uint_eq(r.visits, stack_counter(s));
    load_done(&r);
    stack_stop(s);
}
END_TEST

START_TEST(only_public_routes_are_reached)
{
    static const char *const hidden[] = {"/metrics", "/healthz", "/readyz", "/backend", "/x"};
    static const char *const shown[] = {"/", "/api/v1/visits", "/version"};
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER | STACK_NGINX});
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        ck_assert_int_eq(ask_get(s->nginx_port, hidden[i], "")->status, 404);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        ck_assert_int_eq(ask_get(s->nginx_port, shown[i], "")->status, 200);
    ck_assert_uint_eq(stack_counter(s), 1);
    stack_stop(s);
}
END_TEST

START_TEST(with_no_frontend_there_is_a_friendly_page)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER | STACK_NGINX});
    process_kill(s->frontend[0]);
    const struct answer *page = ask_get(s->nginx_port, "/", "Accept: text/html\r\n");
    ck_assert_int_eq(page->status, 502);
    ck_assert_ptr_nonnull(strstr(page->body, "</html>"));
    ck_assert_ptr_nonnull(answer_field(page, "Retry-After"));
    const struct answer *json = ask_get(s->nginx_port, "/", JSON);
    ck_assert_str_eq(answer_field(json, "Content-Type"), "application/problem+json");
    stack_start_frontend(s, 0);
    ck_assert_uint_eq(answer_number(ask_until(s->nginx_port, "/", JSON, 200)), 1);
    stack_stop(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("edge");
    TCase *c = tcase_create("edge");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, visits_are_exact_through_the_edge);
    tcase_add_test(c, a_leaving_frontend_fails_no_request_and_counts_none_twice);
    tcase_add_test(c, only_public_routes_are_reached);
    tcase_add_test(c, with_no_frontend_there_is_a_friendly_page);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
