/* The page and its JSON: every state, and text that would like to be markup. */
#include "frontend/page.h"
#include "frontend/user_list.h"
#include "lib/mem.h"
#include "tests/support/html.h"
#include "tests/support/suite.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct page *page;
static struct user_list *users;

static void set_up(void)
{
    static const char body[] = "[{\"userName\":\"Bob\"},{\"userName\":\"Jay\"}]\n";
    page = page_new(&(struct page_options){
        .environment = "green", .served_by = "pod-1", .version = "1.2.3", .with_users = true});
    ck_assert_ptr_null(user_list_parse(body, sizeof(body) - 1, &users));
}

static void tear_down(void)
{
    page_free(page);
    user_list_unref(users);
}

static char *html_of(const struct page *p, int64_t number, const struct user_list *list)
{
    struct buf html = {0};
    page_html(p, &(struct page_visit){.number = number, .users = list}, &html);
    ck_assert_uint_eq(html.length, strlen(html.data));
    ck_assert_pstr_eq(html_check(html.data, html.length), NULL);
    return html.data;
}

static char *json_of(const struct page *p, int64_t number, const struct user_list *list)
{
    struct buf json = {0};
    page_json(p, &(struct page_visit){.number = number, .users = list}, &json);
    ck_assert_uint_eq(json.length, strlen(json.data));
    return json.data;
}

static void assert_shows(const char *html, const char *wanted)
{
    ck_assert_msg(strstr(html, wanted), "%s is not in %s", wanted, html);
}

static void assert_hides(const char *html, const char *unwanted)
{
    ck_assert_msg(!strstr(html, unwanted), "%s is in %s", unwanted, html);
}

START_TEST(the_page_shows_number_pod_and_users)
{
    char *html = html_of(page, 42, users);
    assert_shows(html, "The number of visitors is : <span id=\"counter\">42</span>");
    assert_shows(html, "Currently serving from pod: <span id=\"pod_name\">pod-1</span>");
    assert_shows(html, "Here are our users:");
    assert_shows(html, "<p>Bob</p>\n<p>Jay</p>");
    assert_shows(html, "<body class=\"green\">");
    assert_shows(html, "1.2.3");
    assert_hides(html, "unavailable");
    assert_hides(html, "{{");
    free(html);
}
END_TEST

static const struct number {
    int64_t number;
    const char *text;
} numbers[] = {
    {1, "1"}, {9, "9"}, {10, "10"}, {1000000, "1000000"}, {INT64_MAX, "9223372036854775807"},
};

START_TEST(numbers_are_plain_digits)
{
    char *html = html_of(page, numbers[_i].number, users);
    char *wanted = xasprintf("<span id=\"counter\">%s</span>", numbers[_i].text);
    assert_shows(html, wanted);
    free(wanted);
    free(html);
}
END_TEST

START_TEST(a_missing_number_is_unmistakable)
{
    char *html = html_of(page, 0, users);
    assert_shows(html, "<span id=\"counter\" class=\"missing\">unavailable</span>");
    assert_shows(html, "could not be counted");
    assert_shows(html, "<p>Bob</p>");
    free(html);
}
END_TEST

START_TEST(missing_users_are_said_in_words)
{
    char *html = html_of(page, 42, NULL);
    assert_shows(html, "<span id=\"counter\">42</span>");
    assert_shows(html, "The users are unavailable");
    assert_hides(html, "<p>Bob</p>");
    free(html);
}
END_TEST

START_TEST(without_a_backend_there_is_no_users_section)
{
    struct page *alone =
        page_new(&(struct page_options){.environment = "blue", .served_by = "pod", .version = "1"});
    char *html = html_of(alone, 42, NULL);
    assert_hides(html, "users");
    char *json = json_of(alone, 42, NULL);
    ck_assert_str_eq(
        json,
        "{\"visitor\":42,\"served_by\":\"pod\",\"environment\":\"blue\",\"version\":\"1\"}\n");
    free(json);
    free(html);
    page_free(alone);
}
END_TEST

static const char *const hostile[] = {
    "</span><script>alert(1)</script>",
    "\"' onload=\"x",
    "&amp;&lt;",
    "{{number}}",
    "a\nb",
    "\xC3\xB6",
};

START_TEST(hostile_settings_stay_text)
{
    struct page *p = page_new(&(struct page_options){
        .environment = "develop", .served_by = hostile[_i], .version = hostile[_i]});
    free(html_of(p, 7, NULL));
    char *text = json_of(p, 7, NULL);
    json_t *json = json_loads(text, 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(json, "served_by")), hostile[_i]);
    ck_assert_str_eq(json_string_value(json_object_get(json, "version")), hostile[_i]);
    json_decref(json);
    free(text);
    page_free(p);
}
END_TEST

START_TEST(json_carries_the_users)
{
    char *json = json_of(page, 42, users);
    ck_assert_str_eq(json, "{\"visitor\":42,\"served_by\":\"pod-1\",\"environment\":\"green\","
                           "\"version\":\"1.2.3\",\"users\":[{\"userName\":\"Bob\"},"
                           "{\"userName\":\"Jay\"}]}\n");
    free(json);
}
END_TEST

START_TEST(json_names_what_is_missing)
{
    char *json = json_of(page, 42, NULL);
    ck_assert_str_eq(json, "{\"visitor\":42,\"served_by\":\"pod-1\",\"environment\":\"green\","
                           "\"version\":\"1.2.3\",\"users\":null,\"degraded\":[\"backend\"]}\n");
    free(json);
}
END_TEST

START_TEST(json_without_a_number_is_a_bug)
{
    json_of(page, 0, users);
}
END_TEST

START_TEST(error_pages_get_the_very_style_that_is_allowed)
{
    char *html = html_of(page, 42, users), *head = page_error_head();
    const char *style = strstr(head, "<style>");
    ck_assert_ptr_nonnull(style);
    assert_shows(html, style);
    ck_assert_pstr_eq(html_check(head, strlen(head)), NULL);
    free(head);
    free(html);
}
END_TEST

START_TEST(the_policy_allows_nothing_foreign)
{
    const char *csp = page_csp();
    assert_shows(csp, "default-src 'none'; style-src 'sha256-");
    assert_hides(csp, "unknown");
    assert_hides(csp, "unsafe");
    assert_hides(csp, "http");
    assert_hides(csp, "*");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("page");
    TCase *tc = tcase_create("page");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_page_shows_number_pod_and_users);
    tcase_add_loop_test(tc, numbers_are_plain_digits, 0, sizeof(numbers) / sizeof(numbers[0]));
    tcase_add_test(tc, a_missing_number_is_unmistakable);
    tcase_add_test(tc, missing_users_are_said_in_words);
    tcase_add_test(tc, without_a_backend_there_is_no_users_section);
    tcase_add_loop_test(tc, hostile_settings_stay_text, 0, sizeof(hostile) / sizeof(hostile[0]));
    tcase_add_test(tc, json_carries_the_users);
    tcase_add_test(tc, json_names_what_is_missing);
    tcase_add_test_raise_signal(tc, json_without_a_number_is_a_bug, SIGABRT);
    tcase_add_test(tc, error_pages_get_the_very_style_that_is_allowed);
    tcase_add_test(tc, the_policy_allows_nothing_foreign);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
