/* Counting: each visitor's number is theirs alone, and only visits count. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/canned.h"
#include "tests/support/load.h"
#include "tests/support/net.h"
#include "tests/support/stack.h"
#include "tests/support/suite.h"

#define JSON "Accept: application/json\r\n"

/* What the predecessors' own backend says, byte for byte. */
static const char predecessor[] =
    "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 98\r\n"
    "Server: Werkzeug/0.16.1 Python/3.6.9\r\nDate: Mon, 01 Jun 2020 10:00:00 GMT\r\n\r\n"
    "[{\"userName\":\"Bob\"},{\"userName\":\"Jay\"},{\"userName\":\"Matt\"},{\"userName\":\"Ferg\"}"
    ","
    "{\"userName\":\"Mo\"}]\n";

static const struct stack_options counted[] = {
    {.parts = STACK_COUNTER},
    {.parts = STACK_COUNTER, .workers = 2},
    {.parts = STACK_ALL | STACK_SECOND_FRONTEND, .workers = 2},
};

START_TEST(twenty_thousand_visits_get_exactly_their_numbers)
{
    struct stack *s = stack_start(&counted[_i]);
    size_t visits = load_scale(20000);
    struct load *load = load_start(&(struct load_options){
        .port = {s->port, s->frontend[1] ? s->frontend_port[1] : 0}, .requests = visits});
    struct load_result r = load_finish(load, 60000);
    load_must_be_answered(&r);
    ck_assert_uint_eq(r.visits, visits);
    load_must_be_exactly(&r, 1);
    ck_assert_uint_eq(stack_counter(s), visits);
    load_done(&r);
    stack_stop(s);
}
END_TEST

START_TEST(nothing_but_a_visit_counts)
{
    static const char *const prefetches[] = {"Sec-Purpose: prefetch\r\n",
                                             "Sec-Purpose: prefetch;prerender\r\n",
                                             "Purpose: prefetch\r\n", "X-Moz: prefetch\r\n"};
    static const char *const paths[] = {"/api/v1/visits", "/healthz", "/readyz",
                                        "/metrics",       "/version", "/nowhere"};
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER});
    ck_assert_int_eq(ask_method(s->port, "HEAD", "/", "")->status, 200);
    ck_assert_int_eq(ask_method(s->port, "OPTIONS", "/", "")->status, 204);
    ck_assert_int_eq(ask_method(s->port, "POST", "/", "Content-Length: 0\r\n")->status, 405);
    for (size_t i = 0; i < sizeof prefetches / sizeof *prefetches; i++)
        ck_assert_int_eq(ask_get(s->port, "/", prefetches[i])->status, 503);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        ck_assert_int_eq(ask_get(s->port, paths[i], "")->status, i == 5 ? 404 : 200);
    ck_assert_uint_eq(stack_counter(s), 0);
    ck_assert_uint_eq(answer_number(ask_get(s->port, "/", "")), 1);
    stack_stop(s);
}
END_TEST

START_TEST(the_total_is_what_was_counted)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER});
    ck_assert_str_eq(ask_get(s->port, "/api/v1/visits", "")->body, "{\"total\":0}\n");
    for (int i = 0; i < 3; i++)
        ask_get(s->port, "/", "");
    const struct answer *a = ask_get(s->port, "/api/v1/visits", "");
    ck_assert_str_eq(answer_field(a, "Content-Type"), "application/json");
    ck_assert_uint_eq(answer_number(a), 3);
    stack_stop(s);
}
END_TEST

START_TEST(json_says_all_there_is)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL});
    const struct answer *a = ask_get(s->port, "/", JSON);
    json_t *body = json_loads(a->body, 0, NULL), *users = json_object_get(body, "users");
    ck_assert_msg(body != NULL, "not JSON: %s", a->body);
    ck_assert_int_eq(json_integer_value(json_object_get(body, "visitor")), 1);
    ck_assert_str_eq(json_string_value(json_object_get(body, "served_by")), "pod-0");
    ck_assert_str_eq(json_string_value(json_object_get(body, "environment")), "develop");
    ck_assert_str_eq(json_string_value(json_object_get(body, "version")), "1.2.3");
    ck_assert_uint_eq(json_array_size(users), 5);
    ck_assert_ptr_null(json_object_get(body, "degraded"));
    json_decref(body);
    stack_stop(s);
}
END_TEST

static void must_hold(const struct answer *a, const char *text)
{
    ck_assert_msg(strstr(a->body, text) != NULL, "no %s in: %s", text, a->body);
}

START_TEST(the_page_keeps_the_ids_of_its_predecessors)
{
    static const char *const users[] = {"Bob</p>", "Jay</p>", "Matt</p>", "Ferg</p>", "Mo</p>"};
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL});
    ask_get(s->port, "/", "");
    const struct answer *a = ask_get(s->port, "/", "Accept: */*\r\n");
    ck_assert_int_eq(a->status, 200);
    ck_assert_int_eq(strncmp(answer_field(a, "Content-Type"), "text/html", 9), 0);
    must_hold(a, "<span id=\"counter\">2</span>");
    must_hold(a, "<span id=\"pod_name\">pod-0</span>");
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        must_hold(a, users[i]);
    stack_stop(s);
}
END_TEST

START_TEST(the_backend_answers_as_its_predecessor_did)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_USERS});
    const struct answer *a = ask_get(s->backend_port, "/backend", "");
    ck_assert_str_eq(a->body, strstr(predecessor, "\r\n\r\n") + 4);
    ck_assert_str_eq(answer_field(a, "Content-Type"), "application/json");
    mariadb_run(s->database, "DELETE FROM users");
    ck_assert_str_eq(ask_get(s->backend_port, "/backend", "")->body, "[]\n");
    mariadb_run(s->database, "INSERT INTO users (userName) VALUES ('Zoe'), ('Ann'), ('Zoe')");
    ck_assert_str_eq(ask_get(s->backend_port, "/backend", "")->body,
                     "[{\"userName\":\"Zoe\"},{\"userName\":\"Ann\"},{\"userName\":\"Zoe\"}]\n");
    stack_stop(s);
}
END_TEST

START_TEST(the_predecessors_backend_serves_our_frontend)
{
    int port = port_reserve();
    char *directory = directory_new("canned"),
         *url = xasprintf("http://127.0.0.1:%d/backend", port);
    struct process *backend = canned_start(directory, port, predecessor);
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .backend_url = url});
    for (uint64_t i = 1; i <= 3; i++) {
        const struct answer *a = ask_get(s->port, "/", "");
        ck_assert_uint_eq(answer_number(a), i);
        must_hold(a, "Ferg</p>");
    }
    stack_stop(s);
    process_free(backend);
    free(directory);
    free(url);
}
END_TEST

START_TEST(without_a_backend_there_is_the_counter_alone)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER});
    const struct answer *page = ask_get(s->port, "/", ""), *json = ask_get(s->port, "/", JSON);
    ck_assert_uint_eq(answer_number(page), 1);
    ck_assert_ptr_null(strstr(page->body, "users"));
    ck_assert_uint_eq(answer_number(json), 2);
    ck_assert_ptr_null(strstr(json->body, "degraded"));
    stack_stop(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("counting");
    TCase *c = tcase_create("counting");
    tcase_set_timeout(c, 90);
    tcase_add_loop_test(c, twenty_thousand_visits_get_exactly_their_numbers, 0, 3);
    tcase_add_test(c, nothing_but_a_visit_counts);
    tcase_add_test(c, the_total_is_what_was_counted);
    tcase_add_test(c, json_says_all_there_is);
    tcase_add_test(c, the_page_keeps_the_ids_of_its_predecessors);
    tcase_add_test(c, the_backend_answers_as_its_predecessor_did);
    tcase_add_test(c, the_predecessors_backend_serves_our_frontend);
    tcase_add_test(c, without_a_backend_there_is_the_counter_alone);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
