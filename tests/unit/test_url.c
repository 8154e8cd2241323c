/* URLs of stores: both spellings that users know, and tables of what must be refused. */
#include "lib/url.h"
#include "tests/support/suite.h"
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define LABEL_63 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"

static void assert_same(const char *part, const char *is, const char *expected, const char *text)
{
    if (!is || !expected)
        ck_assert_msg(is == expected, "%s of %s is %s", part, text, is ? is : "(none)");
    else
        ck_assert_msg(strcmp(is, expected) == 0, "%s of %s is %s", part, text, is);
}

static const struct good {
    const char *text;
    struct url url;
} goods[] = {
    {"redis://127.0.0.1:6379/0",
     {.scheme = "redis", .host = "127.0.0.1", .port = 6379, .path = "0"}},
    {"redis://redis", {.scheme = "redis", .host = "redis", .path = ""}},
    {"redis://redis/", {.scheme = "redis", .host = "redis", .path = ""}},
    {"REDISS://Redis.Example:1/2",
     {.scheme = "rediss", .host = "Redis.Example", .port = 1, .path = "2"}},
    {"mysql+pymysql://bob:secret@db:3306/users",
     {.scheme = "mysql+pymysql",
      .user = "bob",
      .password = "secret",
      .host = "db",
      .port = 3306,
      .path = "users"}},
    {"mysql://bob@db/users?charset=utf8mb4",
     {.scheme = "mysql", .user = "bob", .host = "db", .path = "users", .query = "charset=utf8mb4"}},
    {"redis://:secret@host", {.scheme = "redis", .password = "secret", .host = "host", .path = ""}},
    {"redis://@host", {.scheme = "redis", .host = "host", .path = ""}},
    {"redis://u:@host",
     {.scheme = "redis", .user = "u", .password = "", .host = "host", .path = ""}},
    /* passwords as people write them */
    {"mysql://u:p@ss@db:1/x",
     {.scheme = "mysql", .user = "u", .password = "p@ss", .host = "db", .port = 1, .path = "x"}},
    {"mysql://u:a:b/c?d#e@db/x",
     {.scheme = "mysql", .user = "u", .password = "a:b/c?d#e", .host = "db", .path = "x"}},
    {"mysql://u:[x]@db/x",
     {.scheme = "mysql", .user = "u", .password = "[x]", .host = "db", .path = "x"}},
    {"mysql://u%40corp:p%3a%2F%2f%25%20@db/x%2Fy",
     {.scheme = "mysql", .user = "u@corp", .password = "p://% ", .host = "db", .path = "x/y"}},
    {"mysql://u:p\xC3\xBC%C3%BC@db/x",
     {.scheme = "mysql", .user = "u", .password = "p\xC3\xBC\xC3\xBC", .host = "db", .path = "x"}},
    {"mysql://u:%2500@db/x",
     {.scheme = "mysql", .user = "u", .password = "%00", .host = "db", .path = "x"}},
    {"mysql://u:a+b@db/x",
     {.scheme = "mysql", .user = "u", .password = "a+b", .host = "db", .path = "x"}},
    {"mysql://u:a://b@db/x",
     {.scheme = "mysql", .user = "u", .password = "a://b", .host = "db", .path = "x"}},
    /* IPv6 */
    {"redis://[::1]:6379/0", {.scheme = "redis", .host = "::1", .port = 6379, .path = "0"}},
    {"redis://[2001:DB8::7]", {.scheme = "redis", .host = "2001:DB8::7", .path = ""}},
    {"redis://u:p]@[::ffff:1.2.3.4]/1",
     {.scheme = "redis", .user = "u", .password = "p]", .host = "::ffff:1.2.3.4", .path = "1"}},
    /* ports and tails */
    {"http://a:65535", {.scheme = "http", .host = "a", .port = 65535, .path = ""}},
    {"http://a:00080/b/c", {.scheme = "http", .host = "a", .port = 80, .path = "b/c"}},
    {"http://a?q", {.scheme = "http", .host = "a", .path = "", .query = "q"}},
    {"http://a:1?", {.scheme = "http", .host = "a", .port = 1, .path = "", .query = ""}},
    {"http://a//b?c?d/e=%2F", {.scheme = "http", .host = "a", .path = "/b", .query = "c?d/e=%2F"}},
    {"http://a_b-c.d.", {.scheme = "http", .host = "a_b-c.d.", .path = ""}},
};

START_TEST(a_good_url_is_taken_apart)
{
    const struct good *g = &goods[_i];
    struct url url;
    const char *wrong = url_parse(g->text, &url);
    ck_assert_msg(!wrong, "%s: %s", g->text, wrong);
    assert_same("scheme", url.scheme, g->url.scheme, g->text);
    assert_same("user", url.user, g->url.user, g->text);
    assert_same("password", url.password, g->url.password, g->text);
    assert_same("host", url.host, g->url.host, g->text);
    assert_same("path", url.path, g->url.path, g->text);
    assert_same("query", url.query, g->url.query, g->text);
    ck_assert_int_eq(url.port, g->url.port);
    url_done(&url);
}
END_TEST

/* Each holds a secret, to see that no message repeats it. */
#define SECRET "s3cr3t"

static const struct bad {
    const char *text, *says;
} bads[] = {
    {"", "scheme"},
    {SECRET, "scheme"},
    {"127.0.0.1:6379/" SECRET, "scheme"},
    {"redis:/u:" SECRET "@h", "scheme"},
    {"redis:u:" SECRET "@h", "scheme"},
    {"://u:" SECRET "@h", "scheme"},
    {"1redis://u:" SECRET "@h", "scheme"},
    {"re_dis://u:" SECRET "@h", "scheme"},
    {"tcp//://u:" SECRET "@h", "scheme"},
    {"redis://", "host"},
    {"redis:///0", "host"},
    {"redis://:6379", "host"},
    {"redis://u:" SECRET "@", "host"},
    {"redis://u:" SECRET "@/0", "host"},
    {"redis://u:" SECRET "@:1", "host"},
    {"redis://u:" SECRET "@?x", "host"},
    {"redis://u:" SECRET "@h,i", "host"},
    {"redis://u:" SECRET "@h%41", "host"},
    {"redis://u:" SECRET "@h\xC3\xBC", "host"},
    {"redis://u:" SECRET "@h\\i", "host"},
    {"redis://u:" SECRET "@h]", "host"},
    {"redis://" LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63, "host"},
    {"redis://u:" SECRET "@h:", "port"},
    {"redis://u:" SECRET "@h:/0", "port"},
    {"redis://u:" SECRET "@h:0", "port"},
    {"redis://u:" SECRET "@h:65536", "port"},
    {"redis://u:" SECRET "@h:99999999999999999999", "port"},
    {"redis://u:" SECRET "@h:4294967297", "port"},
    {"redis://u:" SECRET "@h:-1", "port"},
    {"redis://u:" SECRET "@h:+1", "port"},
    {"redis://u:" SECRET "@h:1x", "port"},
    {"redis://u:" SECRET "@h:0x10", "port"},
    {"redis://u:" SECRET "@h:1:2", "port"},
    {"redis://u:" SECRET "@::1", "host"},
    {"redis://2001:db8::1/0", "port"},
    {"redis://[::1", "]"},
    {"redis://[", "]"},
    {"redis://[]", "IPv6"},
    {"redis://[127.0.0.1]", "IPv6"},
    {"redis://[localhost]", "IPv6"},
    {"redis://[::1%25eth0]", "IPv6"},
    {"redis://[1:2:3:4:5:6:7:8:9]", "IPv6"},
    {"redis://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", "IPv6"},
    {"redis://[::1]x", "after the host"},
    {"redis://[::1]6379", "after the host"},
    {"redis://u:" SECRET "@h#x", "#"},
    {"redis://u:" SECRET "@h/0#x", "#"},
    {"redis://u:" SECRET "@h/0?x#y", "#"},
    {"redis://u:" SECRET "%@h", "%"},
    {"redis://u:" SECRET "%4@h", "%"},
    {"redis://u:" SECRET "%4x@h", "%"},
    {"redis://u:" SECRET "%x4@h", "%"},
    {"redis://u:" SECRET "%%41@h", "%"},
    {"redis://u:" SECRET "%-1@h", "%"},
    {"redis://h/" SECRET "%", "%"},
    {"redis://h/" SECRET "%1", "%"},
    {"redis://h/?" SECRET "%zz", "%"},
    {"redis://u:" SECRET "%00@h", "%00"},
    {"redis://u%00:" SECRET "@h", "%00"},
    {"redis://h/0%00", "%00"},
    {"redis://u:" SECRET "@h\n", "white space"},
    {"redis://u:" SECRET "@h/0\r\n", "white space"},
    {" redis://u:" SECRET "@h", "white space"},
    {"redis://u:" SECRET " x@h", "white space"},
    {"redis://u:" SECRET "\t@h", "white space"},
    {"redis://u:" SECRET "\x7f@h", "control"},
};

START_TEST(a_bad_url_is_refused_without_being_quoted)
{
    const struct bad *b = &bads[_i];
    struct url url = {.port = 77};
    const char *wrong = url_parse(b->text, &url);
    ck_assert_msg(wrong != NULL, "accepted: %s", b->text);
    ck_assert_msg(strstr(wrong, b->says) != NULL, "%s: %s", b->text, wrong);
    ck_assert_ptr_null(strstr(wrong, SECRET));
    ck_assert_int_eq(url.port, 77);
    ck_assert_ptr_null(url.scheme);
}
END_TEST

START_TEST(done_twice_or_never_filled_is_harmless)
{
    struct url url = {0};
    url_done(&url);
    ck_assert_ptr_null(url_parse("redis://u:p@h:1/0?q", &url));
    url_done(&url);
    url_done(&url);
    ck_assert_ptr_null(url.host);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("url");
    TCase *tcase = tcase_create("url");
    tcase_add_loop_test(tcase, a_good_url_is_taken_apart, 0, COUNT(goods));
    tcase_add_loop_test(tcase, a_bad_url_is_refused_without_being_quoted, 0, COUNT(bads));
    tcase_add_test(tcase, done_twice_or_never_filled_is_harmless);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
