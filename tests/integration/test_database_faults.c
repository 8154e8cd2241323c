/* MariaDB or the backend dies or freezes: visits go on being counted, the page says that the users
 * are unavailable, and nobody does anything for them to come back. */
#include <stdlib.h>
#include <string.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/load.h"
#include "tests/support/net.h"
#include "tests/support/stack.h"
#include "tests/support/suite.h"

#define JSON "Accept: application/json\r\n"

/* Deadlines of the backend's fetch and of the query behind it, and what a busy machine adds. */
enum { FETCH_TIMEOUT_MS = 1000, MARGIN_MS = 900 };

struct fault {
    void (*strike)(struct stack *s);
    void (*mend)(struct stack *s);
};

static void kill_database(struct stack *s)
{
    mariadb_kill(s->database);
}

static void start_database(struct stack *s)
{
    mariadb_start(s->database);
}

static void freeze_database(struct stack *s)
{
    process_freeze(s->database->process);
}

static void thaw_database(struct stack *s)
{
    process_thaw(s->database->process);
}

static void kill_backend(struct stack *s)
{
    process_kill(s->backend);
}

static void freeze_backend(struct stack *s)
{
    process_freeze(s->backend);
}

static void thaw_backend(struct stack *s)
{
    process_thaw(s->backend);
}

static const struct fault faults[] = {{kill_database, start_database},
                                      {freeze_database, thaw_database},
                                      {kill_backend, stack_start_backend},
                                      {freeze_backend, thaw_backend}};
enum { FAULTS = sizeof faults / sizeof *faults };

START_TEST(the_page_does_without_users_until_they_are_back)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL});
    ask_until_text(s->port, "/", JSON, "\"Ferg\"");
    faults[_i].strike(s);
    const struct answer *json = ask_until_text(s->port, "/", JSON, "\"users\":null");
    ck_assert_int_eq(json->status, 200);
    ck_assert_ptr_nonnull(strstr(json->body, "\"degraded\":[\"backend\"]"));
    ck_assert_uint_gt(answer_number(json), 1);
    const struct answer *page = ask_get(s->port, "/", "");
    ck_assert_int_eq(page->status, 200);
    ck_assert_uint_eq(answer_number(page), answer_number(json) + 1);
    ck_assert_ptr_nonnull(strstr(page->body, "unavailable"));
    ck_assert_ptr_null(strstr(page->body, "Ferg"));
    ck_assert_uint_le(page->took_ms, FETCH_TIMEOUT_MS + MARGIN_MS);
    faults[_i].mend(s);
    ask_until_text(s->port, "/", JSON, "\"Ferg\"");
    stack_stop(s);
}
END_TEST

START_TEST(every_visit_is_counted_while_the_database_comes_and_goes)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL, .workers = 2});
    struct load *load = load_start(&(struct load_options){.port = {s->port}});
    load_wait_visits(load, load_scale(1000), 20000);
    for (int i = 0; i < FAULTS; i++) {
        faults[i].strike(s);
        load_wait_visits(load, 200, 20000);
        faults[i].mend(s);
        load_wait_visits(load, 200, 20000);
    }
    load_stop(load);
    struct load_result r = load_finish(load, 20000);
    load_must_be_answered(&r);
    ck_assert_uint_eq(load_count_status(&r, 200), r.count);
    load_must_be_exactly(&r, 1);
    ck_assert_uint_eq(r.visits, stack_counter(s));
    ck_assert_uint_le(r.slowest_us / 1000, FETCH_TIMEOUT_MS + MARGIN_MS);
    load_done(&r);
    stack_stop(s);
}
END_TEST

START_TEST(both_stores_down_is_said_with_503)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL});
    process_kill(s->redis);
    process_kill(s->backend);
    const struct answer *page = ask_until(s->port, "/", "", 503);
    ck_assert_int_eq(strncmp(answer_field(page, "Content-Type"), "text/html", 9), 0);
    ck_assert_ptr_nonnull(answer_field(page, "Retry-After"));
    ck_assert_int_eq(ask_get(s->port, "/", JSON)->status, 503);
    ck_assert_int_eq(ask_get(s->port, "/readyz", "")->status, 200);
    stack_stop(s);
}
END_TEST

START_TEST(a_hostile_name_is_shown_as_text)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL});
    mariadb_run(s->database, "INSERT INTO users (userName) VALUES ('<script>alert(1)</script>')");
    const struct answer *page = ask_get(s->port, "/", "");
    ck_assert_ptr_nonnull(strstr(page->body, "&lt;script&gt;alert(1)&lt;/script&gt;</p>"));
    ck_assert_ptr_null(strstr(page->body, "<script"));
    const struct answer *json = ask_get(s->port, "/", JSON);
    ck_assert_ptr_nonnull(strstr(json->body, "<script>alert(1)</script>"));
    stack_stop(s);
}
END_TEST

/* Others keep reads in flight all the time; each sees the table as it was when it began, and takes
 * its time. None of them may serve a visitor who came later. */
START_TEST(a_page_is_never_older_than_its_request)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL});
    mariadb_run(s->database, "DELETE FROM users; INSERT INTO users (userName) VALUES ('old');"
                             "RENAME TABLE users TO people;"
                             "CREATE VIEW users AS SELECT * FROM people WHERE SLEEP(0.03) = 0");
    struct load *load = load_start(&(struct load_options){.port = {s->port}, .connections = 16});
    for (int i = 0; i < 5; i++) {
        char *insert = xasprintf("INSERT INTO people (userName) VALUES ('new-%d')", i);
        char *user = xasprintf("\"new-%d\"", i);
        load_wait_visits(load, 1, 20000); /* and the next read has begun */
        mariadb_run(s->database, insert);
        const struct answer *a = ask_get(s->port, "/", JSON);
        ck_assert_msg(strstr(a->body, user) != NULL, "no %s in %s", user, a->body);
        free(insert);
        free(user);
    }
    load_stop(load);
    struct load_result r = load_finish(load, 20000);
    load_must_be_answered(&r);
    load_done(&r);
    stack_stop(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("database_faults");
    TCase *c = tcase_create("database_faults");
    tcase_set_timeout(c, 90);
    tcase_add_loop_test(c, the_page_does_without_users_until_they_are_back, 0, FAULTS);
    tcase_add_test(c, every_visit_is_counted_while_the_database_comes_and_goes);
    tcase_add_test(c, both_stores_down_is_said_with_503);
    tcase_add_test(c, a_hostile_name_is_shown_as_text);
    tcase_add_test(c, a_page_is_never_older_than_its_request);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
