/* Settings from the environment: good values, all that can be wrong with one, and secrets that
 * stay secret. */
#include "lib/config.h"
#include "lib/buf.h"
#include "tests/support/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct settings {
#include "lib/config_fields.h"
#include "tests/unit/test_config.def"
};

#define CONFIG_STRUCT struct settings
#include "lib/config_rows.h"
static const struct config_setting table[] = {
#include "tests/unit/test_config.def"
};

static struct settings settings;
static struct buf errors;
static char secret_path[32];

static void begin(void)
{
    for (size_t i = 0; i < COUNT(table); i++)
        unsetenv(table[i].name);
    unsetenv("PASSWORD_FILE");
    unsetenv("TOKEN_FILE");
    strcpy(secret_path, "/tmp/test_config.XXXXXX");
    close(mkstemp(secret_path));
}

static void end(void)
{
    config_done(table, COUNT(table), &settings);
    buf_done(&errors);
    unlink(secret_path);
}

static int load(void)
{
    buf_puts(&errors, "");
    return config_load(table, COUNT(table), &settings, &errors);
}

static void write_secret(const char *content, size_t length)
{
    FILE *file = fopen(secret_path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content, 1, length, file), length);
    fclose(file);
    setenv("PASSWORD_FILE", secret_path, 1);
}

START_TEST(nothing_set_gives_the_defaults)
{
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(errors.data, "");
    ck_assert_int_eq(settings.port, 5000);
    ck_assert_int_eq(settings.colour, 0);
    ck_assert_str_eq(settings.name, "");
    ck_assert_str_eq(settings.backend_url, "http://127.0.0.1/");
    ck_assert_str_eq(settings.password, "");
    ck_assert_str_eq(settings.token, "none");
}
END_TEST

START_TEST(what_is_set_counts)
{
    setenv("PORT", "80", 1);
    setenv("OFFSET", "-10", 1);
    setenv("COLOUR", "deep blue", 1);
    setenv("NAME", "pod-1", 1);
    setenv("PASSWORD", "s3cr3t", 1);

    ck_assert_int_eq(load(), 0);

    ck_assert_int_eq(settings.port, 80);
    ck_assert_int_eq(settings.offset, -10);
    ck_assert_int_eq(settings.colour, 2);
    ck_assert_str_eq(settings.name, "pod-1");
    ck_assert_str_eq(settings.password, "s3cr3t");
}
END_TEST

START_TEST(empty_is_a_text_but_no_number_choice_or_secret)
{
    const char *const names[] = {"PORT", "COLOUR", "BACKEND_URL", "TOKEN", "PASSWORD_FILE"};
    for (size_t i = 0; i < COUNT(names); i++)
        setenv(names[i], "", 1);

    ck_assert_int_eq(load(), 0);

    ck_assert_int_eq(settings.port, 5000);
    ck_assert_int_eq(settings.colour, 0);
    ck_assert_str_eq(settings.backend_url, "");
    ck_assert_str_eq(settings.token, "none");
}
END_TEST

static const struct number {
    const char *text;
    long port; /* 0: refused */
} numbers[] = {
    {"1", 1},
    {"65535", 65535},
    {"00080", 80},
    {"0", 0},
    {"65536", 0},
    {"-1", 0},
    {"+80", 0},
    {" 80", 0},
    {"80 ", 0},
    {"80\n", 0},
    {"80x", 0},
    {"0x50", 0},
    {"8e1", 0},
    {"80.0", 0},
    {"1,000", 0},
    {"-", 0},
    {"--1", 0},
    {"x", 0},
    {"\xD9\xA3", 0},
    {"4294967376", 0},
    {"9223372036854775807", 0},
    {"9223372036854775808", 0},
    {"18446744073709551696", 0},
    {"99999999999999999999999999999999", 0},
    {"tcp://10.0.0.1:6379", 0},
};

START_TEST(numbers_are_plain_and_within_their_bounds)
{
    const struct number *n = &numbers[_i];
    setenv("PORT", n->text, 1);
    ck_assert_int_eq(load(), n->port ? 0 : 1);
    ck_assert_int_eq(settings.port, n->port ? n->port : 5000);
    if (!n->port)
        ck_assert_ptr_nonnull(strstr(errors.data, "PORT: must be a whole number from 1 to 65535"));
}
END_TEST

static const char *const colours[] = {"Red", "red ", "re", "redx", "red|green", "|", "deep", "0"};

START_TEST(a_choice_is_one_of_its_words)
{
    setenv("COLOUR", colours[_i], 1);
    ck_assert_int_eq(load(), 1);
    ck_assert_ptr_nonnull(strstr(errors.data, "COLOUR: must be red, green or deep blue, is \""));
    ck_assert_int_eq(settings.colour, 0);
}
END_TEST

START_TEST(all_that_is_wrong_is_said_at_once)
{
    setenv("PORT", "0", 1);
    setenv("OFFSET", "11", 1);
    setenv("COLOUR", "pink", 1);
    setenv("PASSWORD_FILE", "/nonexistent/file", 1);

    ck_assert_int_eq(load(), 4);

    ck_assert_str_eq(errors.data,
                     "PORT: must be a whole number from 1 to 65535, is \"0\"\n"
                     "OFFSET: must be a whole number from -10 to 10, is \"11\"\n"
                     "COLOUR: must be red, green or deep blue, is \"pink\"\n"
                     "PASSWORD_FILE: the file cannot be read: No such file or directory\n");
}
END_TEST

START_TEST(a_wrong_value_cannot_forge_a_line)
{
    char text[500];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text, "1\n\x1b[2J\xFF", 7);
    setenv("PORT", text, 1);

    ck_assert_int_eq(load(), 1);

    ck_assert_ptr_eq(strchr(errors.data, '\n'), errors.data + errors.length - 1);
    ck_assert_ptr_null(strchr(errors.data, '\x1b'));
    ck_assert_uint_lt(errors.length, 200);
}
END_TEST

static const struct file {
    const char *content;
    size_t length;
    const char *password; /* NULL: refused */
    const char *says;
} files[] = {
    {"s3cr3t", 6, "s3cr3t", NULL},       {"s3cr3t\n", 7, "s3cr3t", NULL},
    {"s3cr3t\n\n", 8, "s3cr3t\n", NULL}, {" s3cr3t ", 8, " s3cr3t ", NULL},
    {"\ns3cr3t", 7, "\ns3cr3t", NULL},   {"", 0, NULL, "is empty"},
    {"\n", 1, NULL, "is empty"},         {"s3c\0r3t", 7, NULL, "holds a NUL byte"},
};

START_TEST(a_secret_comes_from_its_file)
{
    const struct file *f = &files[_i];
    write_secret(f->content, f->length);
    ck_assert_int_eq(load(), f->password ? 0 : 1);
    ck_assert_str_eq(settings.password, f->password ? f->password : "");
    if (f->says)
        ck_assert_ptr_nonnull(strstr(errors.data, f->says));
    ck_assert_ptr_null(strstr(errors.data, "s3c"));
}
END_TEST

/* 64 KiB, and what is one byte longer. */
START_TEST(a_secret_file_has_a_bound)
{
    size_t length = 64 * 1024 + (size_t)_i;
    char *content = malloc(length + 1);
    memset(content, 'x', length);
    content[length] = '\n';
    write_secret(content, length + 1);

    ck_assert_int_eq(load(), _i);

    ck_assert_uint_eq(strlen(settings.password), _i ? 0 : length);
    if (_i)
        ck_assert_str_eq(errors.data, "PASSWORD_FILE: the file is larger than 64 KiB\n");
    free(content);
}
END_TEST

START_TEST(a_directory_is_no_secret)
{
    setenv("PASSWORD_FILE", "/tmp", 1);
    ck_assert_int_eq(load(), 1);
    ck_assert_str_eq(errors.data, "PASSWORD_FILE: the file cannot be read: Is a directory\n");
}
END_TEST

START_TEST(a_secret_put_where_its_path_belongs_is_not_shown)
{
    setenv("PASSWORD_FILE", "s3cr3t", 1);
    ck_assert_int_eq(load(), 1);
    ck_assert_ptr_null(strstr(errors.data, "s3cr3t"));
}
END_TEST

START_TEST(a_secret_and_its_file_exclude_one_another)
{
    write_secret("s3cr3t", 6);
    setenv("PASSWORD", "0th3r", 1);

    ck_assert_int_eq(load(), 1);

    ck_assert_str_eq(errors.data, "PASSWORD: set either it or PASSWORD_FILE, not both\n");
    ck_assert_str_eq(settings.password, "");
}
END_TEST

START_TEST(only_secrets_are_read_from_files)
{
    setenv("NAME_FILE", "/nonexistent", 1);
    ck_assert_int_eq(load(), 0);
    unsetenv("NAME_FILE");
}
END_TEST

START_TEST(help_names_each_setting_its_default_and_its_bounds)
{
    struct buf help = {0};
    config_help(table, COUNT(table), &help);
    ck_assert_ptr_nonnull(strstr(help.data, "  PORT=5000\n      where it listens (1 to 65535)\n"));
    ck_assert_ptr_nonnull(
        strstr(help.data, "  COLOUR=red\n      what it looks like (red, green or deep blue)\n"));
    ck_assert_ptr_nonnull(strstr(
        help.data, "  TOKEN=none\n      never shown (or TOKEN_FILE: a file that holds it)\n"));
    buf_done(&help);
}
END_TEST

START_TEST(a_choice_has_a_name)
{
    static const char *const names[] = {"red", "green", "deep blue"};
    char *name = config_choice_name(table[2].choices, _i);
    ck_assert_str_eq(name, names[_i]);
    free(name);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, nothing_set_gives_the_defaults);
    tcase_add_test(tcase, what_is_set_counts);
    tcase_add_test(tcase, empty_is_a_text_but_no_number_choice_or_secret);
    tcase_add_loop_test(tcase, numbers_are_plain_and_within_their_bounds, 0, COUNT(numbers));
    tcase_add_loop_test(tcase, a_choice_is_one_of_its_words, 0, COUNT(colours));
    tcase_add_test(tcase, all_that_is_wrong_is_said_at_once);
    tcase_add_test(tcase, a_wrong_value_cannot_forge_a_line);
    tcase_add_loop_test(tcase, a_secret_comes_from_its_file, 0, COUNT(files));
    tcase_add_loop_test(tcase, a_secret_file_has_a_bound, 0, 2);
    tcase_add_test(tcase, a_directory_is_no_secret);
    tcase_add_test(tcase, a_secret_put_where_its_path_belongs_is_not_shown);
    tcase_add_test(tcase, a_secret_and_its_file_exclude_one_another);
    tcase_add_test(tcase, only_secrets_are_read_from_files);
    tcase_add_test(tcase, help_names_each_setting_its_default_and_its_bounds);
    tcase_add_loop_test(tcase, a_choice_has_a_name, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
