/* Leaving: whoever was accepted is answered, then the process ends with 0. And arriving: a service
 * starts though nothing that it needs is there. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/load.h"
#include "tests/support/net.h"
#include "tests/support/stack.h"
#include "tests/support/suite.h"

#define JSON "Accept: application/json\r\n"

static const char *const delayed[] = {"DRAIN_DELAY_MS=300", NULL};

/* Ends the service under load: nothing that it had accepted is lost. */
static struct load_result leave_under_load(struct process *service, int port, const char *path)
{
    struct load *load = load_start(&(struct load_options){.port = {port}, .path = path});
    load_wait_requests(load, load_scale(3000), 20000);
    process_terminate(service);
    int status = process_wait(service, PATIENCE_MS);
    load_stop(load);
    struct load_result r = load_finish(load, 20000);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(r.ended[LOAD_RESET_MIDDLE], 0);
    ck_assert_uint_eq(r.ended[LOAD_RESET_BEFORE], 0);
    ck_assert_uint_eq(r.ended[LOAD_RESET_FRESH], 0);
    ck_assert_uint_eq(r.ended[LOAD_TIMED_OUT], 0);
    ck_assert_uint_eq(load_count_status(&r, 200), r.ended[LOAD_ANSWERED]);
    return r;
}

START_TEST(the_frontend_answers_all_that_it_accepted)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL,
                                                          .workers = 1 + (unsigned)_i % 2,
                                                          .frontend_env = _i < 2 ? NULL : delayed});
    struct load_result r = leave_under_load(s->frontend[0], s->port, "/");
    load_must_be_exactly(&r, 1);
    ck_assert_uint_eq(r.visits, stack_counter(s));
    load_done(&r);
    stack_stop(s);
}
END_TEST

START_TEST(the_backend_answers_all_that_it_accepted)
{
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_USERS, .workers = 1 + (unsigned)_i});
    struct load_result r = leave_under_load(s->backend, s->backend_port, "/backend");
    load_done(&r);
    stack_stop(s);
}
END_TEST

/* The kernel has taken their connections and their requests; the process has yet to see them. */
START_TEST(who_is_in_the_accept_queue_is_answered)
{
    enum { QUEUED = 200 };
    static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    int fds[QUEUED];
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .workers = 1 + (unsigned)_i});
    process_freeze(s->frontend[0]);
    for (int i = 0; i < QUEUED; i++) {
        fds[i] = net_connect(s->port);
        ck_assert_int_eq(write(fds[i], get, strlen(get)), (ssize_t)strlen(get));
    }
    process_terminate(s->frontend[0]);
    process_thaw(s->frontend[0]);
    for (int i = 0; i < QUEUED; i++) {
        ck_assert_int_eq(ask_on(fds[i], "", 0, false)->status, 200);
        close(fds[i]);
    }
    ck_assert_int_eq(process_wait(s->frontend[0], PATIENCE_MS), 0);
    ck_assert_uint_eq(stack_counter(s), QUEUED);
    stack_stop(s);
}
END_TEST

START_TEST(a_leaving_service_says_so_and_goes_on_serving)
{
    static const char *const long_delay[] = {"DRAIN_DELAY_MS=1500", NULL};
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .frontend_env = long_delay});
    int kept = net_connect(s->port);
    static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    ck_assert_ptr_null(answer_field(ask_on(kept, get, strlen(get), false), "Connection"));
    process_terminate(s->frontend[0]);
    ask_until(s->port, "/readyz", "", 503);
    const struct answer *a = ask_on(kept, get, strlen(get), false);
    ck_assert_uint_eq(answer_number(a), 2);
    ck_assert_str_eq(answer_field(a, "Connection"), "close");
    ck_assert_int_eq(ask_get(s->port, "/healthz", "")->status, 200);
    ck_assert_uint_eq(answer_number(ask_get(s->port, "/", "")), 3);
    ck_assert_int_eq(process_wait(s->frontend[0], PATIENCE_MS), 0);
    close(kept);
    stack_stop(s);
}
END_TEST

START_TEST(an_open_connection_without_a_request_does_not_hold_it_up)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER});
    int silent = net_connect(s->port), half = net_connect(s->port);
    ck_assert_int_eq(write(half, "GET / HT", 8), 8);
    unsigned long long start = now_ms();
    process_terminate(s->frontend[0]);
    ck_assert_int_eq(process_wait(s->frontend[0], PATIENCE_MS), 0);
    ck_assert_uint_lt(now_ms() - start, 12000);
    close(silent);
    close(half);
    stack_stop(s);
}
END_TEST

/* Requests wait for a Redis that does not answer, and a batch stays unsettled for ever. */
START_TEST(a_frozen_redis_does_not_keep_it_beyond_the_time_out)
{
    static const char *const env[] = {"DRAIN_TIMEOUT_MS=500", NULL};
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .frontend_env = env});
    struct load *load = load_start(&(struct load_options){.port = {s->port}, .connections = 8});
    load_wait_visits(load, 100, 20000);
    process_freeze(s->redis);
    process_terminate(s->frontend[0]);
    ck_assert_int_eq(process_wait(s->frontend[0], 3000), 0);
    load_stop(load);
    struct load_result r = load_finish(load, 20000);
    load_must_be_unique(&r);
    process_thaw(s->redis);
    load_done(&r);
    stack_stop(s);
}
END_TEST

START_TEST(a_service_starts_without_anything_that_it_needs)
{
    struct stack *s = stack_start(&(struct stack_options){
        .parts = STACK_BACKEND | STACK_COUNTER, .workers = 2, .unprepared = true});
    stack_start_backend(s);
    process_kill(s->backend); /* the frontend finds nobody at all */
    stack_start_frontend(s, 0);
    process_wait_output(s->frontend[0], "redis", 5000);
    ck_assert_int_eq(ask_get(s->port, "/", "")->status, 503);
    ck_assert_int_eq(ask_get(s->port, "/", JSON)->status, 503);
    ck_assert_int_eq(ask_get(s->port, "/healthz", "")->status, 200);
    ck_assert_int_eq(ask_get(s->port, "/readyz", "")->status, 200);
    stack_start_backend(s);
    ck_assert_int_eq(ask_get(s->backend_port, "/backend", "")->status, 503);
    process_wait_output(s->backend, "database", 5000);
    ck_assert_int_eq(ask_get(s->backend_port, "/healthz", "")->status, 200);
    ck_assert_int_eq(ask_get(s->backend_port, "/readyz", "")->status, 200);
    stack_stop(s);
}
END_TEST

/* The stores come one after the other. Who has once had them all stays ready without them. */
START_TEST(a_service_told_to_wait_is_ready_when_it_has_had_its_stores)
{
    static const char *const wait[] = {"READY_WAIT_MS=600000", NULL};
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL,
                                                          .workers = 2,
                                                          .frontend_env = wait,
                                                          .backend_env = wait,
                                                          .unprepared = true});
    stack_start_frontend(s, 0);
    const struct answer *a = ask_get(s->port, "/readyz", "");
    ck_assert_int_eq(a->status, 503);
    ck_assert_str_eq(a->body, "starting\n");
    ck_assert_int_eq(ask_get(s->port, "/healthz", "")->status, 200);
    stack_start_redis(s);
    a = ask_until_text(s->port, "/readyz?verbose", "", "starting\nredis: up\nbackend: down\n");
    ck_assert_int_eq(a->status, 503);
    stack_start_backend(s); /* without its database */
    a = ask_until_text(s->backend_port, "/readyz?verbose", "", "starting\ndatabase: down\n");
    ck_assert_int_eq(a->status, 503);
    process_kill(s->backend);
    s->options.parts = STACK_USERS;
    stack_start_parts(s);
    ask_until(s->backend_port, "/readyz", "", 200);
    ask_until(s->port, "/readyz", "", 200);
    process_kill(s->redis);
    process_kill(s->backend);
    ask_until(s->port, "/", "", 503);
    ck_assert_int_eq(ask_get(s->port, "/readyz", "")->status, 200);
    stack_stop(s);
}
END_TEST

START_TEST(a_service_told_to_wait_is_ready_without_its_stores_in_the_end)
{
    static const char *const wait[] = {"READY_WAIT_MS=1000", NULL};
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_BACKEND | STACK_COUNTER,
                                                          .frontend_env = wait,
                                                          .backend_env = wait,
                                                          .unprepared = true});
    stack_start_frontend(s, 0);
    stack_start_backend(s);
    const struct answer *a = ask_until(s->port, "/readyz?verbose", "", 200);
    ck_assert_str_eq(a->body, "ready\nredis: down\nbackend: down\n");
    a = ask_until(s->backend_port, "/readyz?verbose", "", 200);
    ck_assert_str_eq(a->body, "ready\ndatabase: down\n");
    stack_stop(s);
}
END_TEST

START_TEST(a_port_in_use_is_one_clear_sentence)
{
    char *output, *binary = stack_binary("tally-frontend");
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER});
    char **env = stack_frontend_env(s, 0);
    const char *const argv[] = {binary, NULL};
    const struct process_options o = {
        .name = "second", .directory = s->directory, .argv = argv, .env = (const char *const *)env};
    ck_assert_int_ne(process_run(&o, PATIENCE_MS, &output), 0);
    char *port = xasprintf("%d", s->port);
    ck_assert_msg(strstr(output, port) != NULL, "no port in: %s", output);
    free(port);
    free(output);
    free(binary);
    stack_env_free(env);
    stack_stop(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("leaving");
    TCase *c = tcase_create("leaving");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, the_frontend_answers_all_that_it_accepted, 0, 4);
    tcase_add_loop_test(c, the_backend_answers_all_that_it_accepted, 0, 2);
    tcase_add_loop_test(c, who_is_in_the_accept_queue_is_answered, 0, 2);
    tcase_add_test(c, a_leaving_service_says_so_and_goes_on_serving);
    tcase_add_test(c, an_open_connection_without_a_request_does_not_hold_it_up);
    tcase_add_test(c, a_frozen_redis_does_not_keep_it_beyond_the_time_out);
    tcase_add_test(c, a_service_starts_without_anything_that_it_needs);
    tcase_add_test(c, a_service_told_to_wait_is_ready_when_it_has_had_its_stores);
    tcase_add_test(c, a_service_told_to_wait_is_ready_without_its_stores_in_the_end);
    tcase_add_test(c, a_port_in_use_is_one_clear_sentence);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
