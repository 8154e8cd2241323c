/* Limits: full means 503 at once, or waiting in the kernel's queue, and a counter that says so;
 * what is too long or not HTTP is refused. */
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
#define GET "GET / HTTP/1.1\r\nHost: x\r\n"

START_TEST(who_finds_the_queue_full_is_turned_away_at_once)
{
    static const char *const env[] = {"MAX_WAITING=4", "VISIT_TIMEOUT_MS=5000", NULL};
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .frontend_env = env});
    ask_get(s->port, "/", "");
    process_freeze(s->redis);
    struct load *load = load_start(&(struct load_options){.port = {s->port}, .connections = 16});
    load_wait_requests(load, 24, 4000); /* before any deadline: they can only be refusals */
    process_thaw(s->redis);
    load_wait_visits(load, 200, 20000);
    load_stop(load);
    struct load_result r = load_finish(load, 20000);
    load_must_be_answered(&r);
    load_must_be_unique(&r);
    ck_assert_uint_ge(load_count_status(&r, 503), 20);
    const struct answer *m = ask_get(s->port, "/metrics", "");
    ck_assert(metric_value(m->body, "tally_max_waiting_hits_total{queue=\"visits\"}") >= 20);
    load_done(&r);
    stack_stop(s);
}
END_TEST

START_TEST(more_connections_than_allowed_wait_for_their_turn)
{
    enum { ALLOWED = 4 };
    static const char *const env[] = {"MAX_CONNECTIONS=4", NULL};
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .frontend_env = env});
    int fds[ALLOWED];
    for (int i = 0; i < ALLOWED; i++) {
        fds[i] = net_connect(s->port);
        ck_assert_int_eq(ask_on(fds[i], GET "\r\n", strlen(GET "\r\n"), false)->status, 200);
    }
    struct load *load = load_start(&(struct load_options){.port = {s->port},
                                                          .connections = 8,
                                                          .requests = 8,
                                                          .fields = "Connection: close\r\n" JSON});
    ck_assert_int_eq(ask_on(fds[0], GET "\r\n", strlen(GET "\r\n"), false)->status, 200);
    for (int i = 0; i < ALLOWED; i++)
        close(fds[i]);
    struct load_result r = load_finish(load, 20000);
    load_must_be_answered(&r);
    ck_assert_uint_eq(r.visits, 8);
    const struct answer *m = ask_get(s->port, "/metrics", "");
    ck_assert(metric_value(m->body, "tally_limit_hits_total{limit=\"max_connections\"}") >= 1);
    load_done(&r);
    stack_stop(s);
}
END_TEST

static char *filled(const char *before, size_t count, const char *after)
{
    char *text = xcalloc(1, strlen(before) + count + strlen(after) + 1);
    strcpy(text, before);
    memset(text + strlen(before), 'a', count);
    return strcat(text, after);
}

START_TEST(what_is_too_long_is_refused_and_counted)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER});
    char *uri = filled("GET /", 4000, " HTTP/1.1\r\nHost: x\r\n\r\n");
    char *field = filled(GET "X-Long: ", 9000, "\r\n\r\n");
    char *huge = filled(GET "X-Long: ", 200000, "\r\n\r\n");
    char *body = filled("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", 100000, "");
    int uri_status = ask_raw(s->port, uri, strlen(uri))->status;
    int field_status = ask_raw(s->port, field, strlen(field))->status;
    int body_status = ask_raw(s->port, body, strlen(body))->status;
    ck_assert_int_ne(ask_raw(s->port, huge, strlen(huge))->status, 200);
    ck_assert_int_eq(uri_status, 414);
    ck_assert_int_eq(field_status, 431);
    ck_assert_msg(body_status == 413 || body_status == 405, "a body was answered %d", body_status);
    ck_assert(metric_sum(ask_get(s->port, "/metrics", "")->body, "tally_limit_hits_total{") >= 2);
    ck_assert_uint_eq(answer_number(ask_get(s->port, "/", "")), 1);
    free(uri);
    free(field);
    free(huge);
    free(body);
    stack_stop(s);
}
END_TEST

/* Requests that mean one thing here and another to a proxy, or nothing at all. status 0: closed
 * without an answer is as good. */
static const struct hostile {
    const char *bytes;
    int status; /* 0: whatever refuses; versions of libmicrohttpd refuse it in ways of their own */
} hostile[] = {
    {GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {GET "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400},
    {GET "Transfer-Encoding: chunked, identity\r\n\r\n", 0},
    {GET "Host: y\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {GET "Content-Length: -1\r\n\r\n", 400},
    {GET "Content-Length: 99999999999999999999\r\n\r\n", 413},
    {GET " folded: x\r\n\r\n", 400},
    {GET "Transfer-Encoding : chunked\r\n\r\n", 400},
    {"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 0},
    {"GET\r\n\r\n", 0},
    {"\r\n\r\n\r\n\r\n\r\n\r\n\x16\x03\x01\x02\r\n\r\n", 0},
};

START_TEST(hostile_bytes_are_refused_and_count_nothing)
{
    const struct hostile *h = &hostile[_i];
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER});
    int fd = net_connect(s->port);
    const struct answer *a = ask_on(fd, h->bytes, strlen(h->bytes), false);
    ck_assert_msg(a->status == h->status || (h->status == 0 && a->status != 200), "answered %d: %s",
                  a->status, a->head);
    close(fd);
    ck_assert_uint_eq(answer_number(ask_get(s->port, "/", "")), 1);
    stack_stop(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("limits");
    TCase *c = tcase_create("limits");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, who_finds_the_queue_full_is_turned_away_at_once);
    tcase_add_test(c, more_connections_than_allowed_wait_for_their_turn);
    tcase_add_test(c, what_is_too_long_is_refused_and_counted);
    tcase_add_loop_test(c, hostile_bytes_are_refused_and_count_nothing, 0,
                        (int)(sizeof hostile / sizeof *hostile));
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
