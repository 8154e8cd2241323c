/* The users' list: what the backend may answer, and what it may not. */
#include "frontend/user_list.h"
#include "lib/mem.h"
#include "tests/support/html.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

#define BOB "{\"userName\":\"Bob\"}"

static const struct good {
    const char *body;
    size_t count;
    const char *html, *json; /* html: of the part between the list's tags */
} goods[] = {
    {"[" BOB "]\n", 1, "<p>Bob</p>\n", "[" BOB "]"},
    {" [ { \"userName\" : \"Bob\" } , " BOB " ] ", 2, "<p>Bob</p>\n<p>Bob</p>\n",
     "[" BOB "," BOB "]"},
    {"[{\"id\":7,\"userName\":\"Bob\",\"more\":[{}]}]", 1, "<p>Bob</p>\n", "[" BOB "]"},
    {"[{\"userName\":\"\"}]", 1, "<p></p>\n", "[{\"userName\":\"\"}]"},
    {"[{\"userName\":\"<script>alert(1)</script>\"}]", 1,
     "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n",
     "[{\"userName\":\"<script>alert(1)</script>\"}]"},
    {"[{\"userName\":\"\\\"'&amp;</p>\"}]", 1, "<p>&quot;&#39;&amp;amp;&lt;/p&gt;</p>\n",
     "[{\"userName\":\"\\\"'&amp;</p>\"}]"},
    {"[{\"userName\":\"a\\u0000b\"}]", 1,
     "<p>a\xEF\xBF\xBD"
     "b</p>\n",
     "[{\"userName\":\"a\\u0000b\"}]"},
    {"[{\"userName\":\"\\u001b[31m\\n\\u007f\"}]", 1,
     "<p>\xEF\xBF\xBD[31m\xEF\xBF\xBD\xEF\xBF\xBD</p>\n", NULL},
    {"[{\"userName\":\"\xF0\x9F\xA6\x8A\"}]", 1, "<p>\xF0\x9F\xA6\x8A</p>\n",
     "[{\"userName\":\"\xF0\x9F\xA6\x8A\"}]"},
    {"[{\"userName\":\"\\ud83e\\udd8a {{number}}\"}]", 1, "<p>\xF0\x9F\xA6\x8A {{number}}</p>\n",
     "[{\"userName\":\"\xF0\x9F\xA6\x8A {{number}}\"}]"},
};

START_TEST(a_good_answer_is_written_out)
{
    const struct good *row = &goods[_i];
    struct user_list *list = NULL;
    ck_assert_ptr_null(user_list_parse(row->body, strlen(row->body), &list));
    ck_assert_uint_eq(list->count, row->count);
    char *html = xasprintf("<div class=\"list\">\n%s</div>\n", row->html);
    ck_assert_str_eq(list->html.data, html);
    ck_assert_ptr_null(html_check(list->html.data, list->html.length));
    if (row->json)
        ck_assert_str_eq(list->json.data, row->json);
    free(html);
    user_list_unref(list);
}
END_TEST

static const struct bad {
    const char *body, *reason;
} bads[] = {
    {"", "the answer is not JSON"},
    {"<html>502</html>", "the answer is not JSON"},
    {"[" BOB, "the answer is not JSON"},
    {"[" BOB "] x", "the answer is not JSON"},
    {"[" BOB ",]", "the answer is not JSON"},
    {"[{\"userName\":\"\xFF\"}]", "the answer is not JSON"},
    {"[{\"userName\":\"\xC0\x80\"}]", "the answer is not JSON"},
    {"[{\"userName\":\"\xED\xA0\x80\"}]", "the answer is not JSON"},
    {"[{\"userName\":\"\\ud800\"}]", "the answer is not JSON"},
    {"null", "the answer is not JSON"},
    {"{\"users\":[" BOB "]}", "the answer is not a JSON array"},
    {"[\"Bob\"]", "a user is not a JSON object"},
    {"[null]", "a user is not a JSON object"},
    {"[[]]", "a user is not a JSON object"},
    {"[{}]", "a user has no userName that is text"},
    {"[" BOB ",{\"username\":\"Jay\"}]", "a user has no userName that is text"},
    {"[{\"userName\":7}]", "a user has no userName that is text"},
    {"[{\"userName\":null}]", "a user has no userName that is text"},
    {"[{\"userName\":[\"Bob\"]}]", "a user has no userName that is text"},
};

START_TEST(a_bad_answer_is_refused_with_a_reason)
{
    const struct bad *row = &bads[_i];
    struct user_list *untouched = (struct user_list *)&bads;
    const char *reason = user_list_parse(row->body, strlen(row->body), &untouched);
    ck_assert_pstr_eq(reason, row->reason);
    ck_assert_ptr_eq(untouched, &bads);
}
END_TEST

START_TEST(an_empty_table_is_said_in_words)
{
    struct user_list *list = NULL;
    ck_assert_ptr_null(user_list_parse("[]\n", 3, &list));
    ck_assert_uint_eq(list->count, 0);
    ck_assert_str_eq(list->json.data, "[]");
    ck_assert_ptr_null(strstr(list->html.data, "<p>"));
    ck_assert_ptr_nonnull(strstr(list->html.data, "no users yet"));
    user_list_unref(list);
}
END_TEST

/* `count` users with names of `length` bytes. */
static const char *parse_many(size_t count, size_t length)
{
    struct buf body = {0};
    char *name = xmalloc(length + 1);
    memset(name, 'x', length);
    name[length] = '\0';
    for (size_t i = 0; i < count; i++)
        buf_printf(&body, "%s{\"userName\":\"%s\"}", i ? "," : "[", name);
    buf_puts(&body, "]");
    struct user_list *list = NULL;
    const char *wrong = user_list_parse(body.data, body.length, &list);
    user_list_unref(list);
    buf_done(&body);
    free(name);
    return wrong;
}

START_TEST(names_users_and_bytes_have_a_bound)
{
    ck_assert_ptr_null(parse_many(1, USER_LIST_MAX_NAME));
    ck_assert_pstr_eq(parse_many(1, USER_LIST_MAX_NAME + 1), "a user's name is too long");
    ck_assert_ptr_null(parse_many(USER_LIST_MAX_USERS, 1));
    ck_assert_pstr_eq(parse_many(USER_LIST_MAX_USERS + 1, 1), "the answer holds too many users");
    ck_assert_pstr_eq(parse_many(1, USER_LIST_MAX_BYTES), "the answer is too long");
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
    char *deep = xmalloc(USER_LIST_MAX_BYTES);
    memset(deep, '[', USER_LIST_MAX_BYTES);
    struct user_list *list = NULL;
    ck_assert_pstr_eq(user_list_parse(deep, USER_LIST_MAX_BYTES, &list), "the answer is not JSON");
    free(deep);
}
END_TEST

START_TEST(a_list_lives_as_long_as_its_last_reference)
{
    struct user_list *list = NULL;
    ck_assert_ptr_null(user_list_parse("[" BOB "]", strlen("[" BOB "]"), &list));
    struct user_list *second = user_list_ref(list);
    user_list_unref(list);
    ck_assert_str_eq(second->json.data, "[" BOB "]");
    user_list_unref(second);
    user_list_unref(NULL);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("user_list");
    TCase *tc = tcase_create("user_list");
    tcase_add_loop_test(tc, a_good_answer_is_written_out, 0, sizeof(goods) / sizeof(goods[0]));
    tcase_add_loop_test(tc, a_bad_answer_is_refused_with_a_reason, 0,
                        sizeof(bads) / sizeof(bads[0]));
    tcase_add_test(tc, an_empty_table_is_said_in_words);
    tcase_add_test(tc, names_users_and_bytes_have_a_bound);
    tcase_add_test(tc, deep_nesting_is_refused);
    tcase_add_test(tc, a_list_lives_as_long_as_its_last_reference);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
