/* Growable bytes: growth, numbers, and the escapings of HTML and JSON against hostile text. */
#include "lib/buf.h"
#include "tests/support/suite.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) literal, sizeof(literal) - 1
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

START_TEST(appended_bytes_stand_in_order_and_end_in_nul)
{
    struct buf b = {0};
    buf_puts(&b, "one ");
    buf_append(&b, TEXT("t\0o"));
    buf_append(&b, NULL, 0);

    ck_assert_uint_eq(b.length, 7);
    ck_assert_mem_eq(b.data, "one t\0o", 8);
    buf_done(&b);
    ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(grows_past_every_capacity_without_losing_a_byte)
{
    struct buf b = {0};
    for (int i = 0; i < 10000; i++)
        buf_append(&b, &(char){(char)('a' + i % 26)}, 1);

    ck_assert_uint_eq(b.length, 10000);
    for (int i = 0; i < 10000; i++)
        ck_assert_int_eq(b.data[i], 'a' + i % 26);
    buf_done(&b);
}
END_TEST

START_TEST(a_cleared_buffer_keeps_its_memory)
{
    struct buf b = {0};
    buf_clear(&b);
    ck_assert_ptr_null(b.data);
    buf_puts(&b, "something");
    char *memory = b.data;

    buf_clear(&b);
    ck_assert_uint_eq(b.length, 0);
    ck_assert_str_eq(b.data, "");
    buf_puts(&b, "else");
    ck_assert_ptr_eq(b.data, memory);
    buf_done(&b);
}
END_TEST

START_TEST(reserved_room_needs_no_other_allocation)
{
    struct buf b = {0};
    buf_reserve(&b, 5000);
    char *memory = b.data;
    for (int i = 0; i < 5000; i++)
        buf_puts(&b, "x");

    ck_assert_ptr_eq(b.data, memory);
    buf_done(&b);
}
END_TEST

/* Texts around the room that a first printf finds. */
START_TEST(printf_fits_whatever_its_length)
{
    struct buf b = {0};
    char *text = malloc((size_t)_i + 1);
    memset(text, 'x', (size_t)_i);
    text[_i] = '\0';
    buf_puts(&b, "<");
    buf_printf(&b, "%s%d", text, 42);

    ck_assert_uint_eq(b.length, (size_t)_i + 3);
    ck_assert_mem_eq(b.data + 1, text, (size_t)_i);
    ck_assert_str_eq(b.data + 1 + _i, "42");
    free(text);
    buf_done(&b);
}
END_TEST

static const struct {
    uint64_t number;
    const char *text;
} numbers[] = {
    {0, "0"},
    {9, "9"},
    {10, "10"},
    {1234567890, "1234567890"},
    {INT64_MAX, "9223372036854775807"},
    {UINT64_MAX, "18446744073709551615"},
};

START_TEST(numbers_are_written_in_decimal)
{
    struct buf b = {0};
    buf_put_u64(&b, numbers[_i].number);
    ck_assert_str_eq(b.data, numbers[_i].text);
    buf_done(&b);
}
END_TEST

struct escape {
    const char *text;
    size_t length;
    const char *escaped;
};

static const struct escape html[] = {
    {TEXT(""), ""},
    {TEXT("Bob"), "Bob"},
    {TEXT("<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;"},
    {TEXT("\" onload='x'"), "&quot; onload=&#39;x&#39;"},
    {TEXT("&lt;"), "&amp;lt;"},
    {TEXT("&&"), "&amp;&amp;"},
    {TEXT("J\xC3\xBCrgen"), "J\xC3\xBCrgen"},
};

START_TEST(html_is_escaped)
{
    struct buf b = {0};
    buf_put_html(&b, html[_i].text, html[_i].length);
    buf_puts(&b, "");
    ck_assert_str_eq(b.data, html[_i].escaped);
    buf_done(&b);
}
END_TEST

#define LOST "\xEF\xBF\xBD"

static const struct escape json[] = {
    {TEXT(""), "\"\""},
    {TEXT("Bob"), "\"Bob\""},
    {TEXT("say \"hi\" \\ bye"), "\"say \\\"hi\\\" \\\\ bye\""},
    {TEXT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
    {TEXT("a\0b"), "\"a\\u0000b\""},
    {TEXT("\x01\x1f\x7f"), "\"\\u0001\\u001f\\u007f\""},
    {TEXT("\xC3\xBC \xE2\x82\xAC \xF0\x9F\x98\x80"), "\"\xC3\xBC \xE2\x82\xAC \xF0\x9F\x98\x80\""},
    {TEXT("\xED\x9F\xBF\xEE\x80\x80"), "\"\xED\x9F\xBF\xEE\x80\x80\""},
    {TEXT("\xF4\x8F\xBF\xBF"), "\"\xF4\x8F\xBF\xBF\""},
    /* not UTF-8: lone and missing continuations */
    {TEXT("a\x80z"), "\"a" LOST "z\""},
    {TEXT("a\xC3"), "\"a" LOST "\""},
    {TEXT("a\xC3z"), "\"a" LOST "z\""},
    {TEXT("\xE2\x82"), "\"" LOST LOST "\""},
    {TEXT("\xE2\x82z"), "\"" LOST LOST "z\""},
    {TEXT("\xF0\x9F\x98z"), "\"" LOST LOST LOST "z\""},
    /* a quote after a broken sequence still ends up escaped */
    {TEXT("\xC3\""), "\"" LOST "\\\"\""},
    {TEXT("\xE2\x82\""), "\"" LOST LOST "\\\"\""},
    /* overlong, surrogates, above U+10FFFF, bytes that never stand in UTF-8 */
    {TEXT("\xC0\xAF"), "\"" LOST LOST "\""},
    {TEXT("\xC1\xBF"), "\"" LOST LOST "\""},
    {TEXT("\xE0\x80\xAF"), "\"" LOST LOST LOST "\""},
    {TEXT("\xF0\x80\x80\xAF"), "\"" LOST LOST LOST LOST "\""},
    {TEXT("\xED\xA0\x80"), "\"" LOST LOST LOST "\""},
    {TEXT("\xF4\x90\x80\x80"), "\"" LOST LOST LOST LOST "\""},
    {TEXT("\xF5\xFE\xFF"), "\"" LOST LOST LOST "\""},
};

START_TEST(json_strings_are_escaped)
{
    struct buf b = {0};
    buf_put_json(&b, json[_i].text, json[_i].length);
    ck_assert_str_eq(b.data, json[_i].escaped);
    buf_done(&b);
}
END_TEST

static void assert_reads_as_string(int first, int second)
{
    struct buf b = {0};
    buf_put_json(&b, (char[]){(char)first, (char)second}, 2);
    json_t *value = json_loadb(b.data, b.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    ck_assert_msg(json_is_string(value), "%02x %02x gave %s", first, second, b.data);
    json_decref(value);
    buf_done(&b);
}

/* Another reader agrees. */
START_TEST(any_two_bytes_become_a_json_string)
{
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++)
            assert_reads_as_string(first, second);
}
END_TEST

START_TEST(taken_bytes_belong_to_the_caller)
{
    struct buf b = {0};
    size_t length = 1;
    char *nothing = buf_take(&b, &length);
    buf_puts(&b, "mine");
    char *text = buf_take(&b, NULL);

    ck_assert_uint_eq(length, 0);
    ck_assert_str_eq(nothing, "");
    ck_assert_str_eq(text, "mine");
    ck_assert_ptr_null(b.data);
    free(nothing);
    free(text);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("buf");
    TCase *bytes = tcase_create("bytes"), *escapes = tcase_create("escapes");
    tcase_add_test(bytes, appended_bytes_stand_in_order_and_end_in_nul);
    tcase_add_test(bytes, grows_past_every_capacity_without_losing_a_byte);
    tcase_add_test(bytes, a_cleared_buffer_keeps_its_memory);
    tcase_add_test(bytes, reserved_room_needs_no_other_allocation);
    tcase_add_loop_test(bytes, printf_fits_whatever_its_length, 245, 265);
    tcase_add_loop_test(bytes, numbers_are_written_in_decimal, 0, COUNT(numbers));
    tcase_add_test(bytes, taken_bytes_belong_to_the_caller);
    tcase_add_loop_test(escapes, html_is_escaped, 0, COUNT(html));
    tcase_add_loop_test(escapes, json_strings_are_escaped, 0, COUNT(json));
    tcase_add_test(escapes, any_two_bytes_become_a_json_string);
    suite_add_tcase(suite, bytes);
    suite_add_tcase(suite, escapes);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
