/* Templates: constants, slots, parts kept or left out. */
#include "frontend/template.h"
#include "lib/buf.h"
#include "tests/support/suite.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) ((struct text){literal, sizeof(literal) - 1})

static const struct template_constant constants[] = {
    {"name", {"Tally", 5}}, {"braces", {"{{first}}", 9}}, {"yes", {"y", 1}}, {"no", {"", 0}}, {0},
};
static const char *const slots[] = {"first", "second", NULL};

static const struct row {
    const char *source, *expected;
} rows[] = {
    {"", ""},
    {"plain text", "plain text"},
    {"{{name}}", "Tally"},
    {"<{{first}}>", "<1>"},
    {"{{first}}{{second}}", "1two"},
    {"{{second}} {{first}} {{second}}", "two 1 two"},
    {"{{name}} {{first}} {{name}}", "Tally 1 Tally"},
    {"a value's {{braces}} stay", "a value's {{first}} stay"},
    {"{single} {{name}} }}", "{single} Tally }}"},
    {"a{{#yes}} {{first}} {{name}}{{/yes}} b", "a 1 Tally b"},
    {"a{{#no}} {{first}} {{name}}{{/no}} b", "a b"},
    {"{{#no}}x{{/no}}{{#yes}}y{{/yes}}", "y"},
};

START_TEST(a_source_is_filled)
{
    const struct row *row = &rows[_i];
    struct template *t =
        template_new((struct text){row->source, strlen(row->source)}, constants, slots);
    struct text values[] = {TEXT("1"), TEXT("two")};
    struct buf filled = {0};
    template_fill(t, values, &filled);
    ck_assert_str_eq(filled.data, row->expected);
    ck_assert_uint_eq(filled.length, strlen(row->expected));
    buf_done(&filled);
    template_free(t);
}
END_TEST

START_TEST(values_may_be_empty_or_hold_nul)
{
    struct template *t = template_new(TEXT("[{{first}}{{second}}]"), constants, slots);
    struct text values[] = {{NULL, 0}, {"a\0b", 3}};
    struct buf filled = {0};
    template_fill(t, values, &filled);
    ck_assert_uint_eq(filled.length, 5);
    ck_assert_mem_eq(filled.data, "[a\0b]", 6);
    buf_done(&filled);
    template_free(t);
}
END_TEST

START_TEST(one_template_is_filled_many_times_behind_what_is_there)
{
    struct template *t = template_new(TEXT("<{{first}}>"), constants, slots);
    struct buf filled = {0};
    for (int i = 0; i < 3; i++) {
        char digit = (char)('0' + i);
        struct text values[] = {{&digit, 1}, {NULL, 0}};
        template_fill(t, values, &filled);
    }
    ck_assert_str_eq(filled.data, "<0><1><2>");
    buf_done(&filled);
    template_free(t);
}
END_TEST

START_TEST(an_unknown_name_is_a_bug)
{
    template_new(TEXT("{{nobody}}"), constants, slots);
}
END_TEST

START_TEST(an_open_name_is_a_bug)
{
    template_new(TEXT("{{first"), constants, slots);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("template");
    TCase *tc = tcase_create("template");
    tcase_add_loop_test(tc, a_source_is_filled, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(tc, values_may_be_empty_or_hold_nul);
    tcase_add_test(tc, one_template_is_filled_many_times_behind_what_is_there);
    tcase_add_test_raise_signal(tc, an_unknown_name_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, an_open_name_is_a_bug, SIGABRT);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
