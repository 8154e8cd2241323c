/* DATABASE_URI: what users of the predecessors wrote, and what must be refused without a secret. */
#include "backend/database_uri.h"
#include "lib/mem.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define SECRET "s3cr3t"

static const struct good {
    const char *text, *host;
    int port;
    const char *user, *password, *name;
} goods[] = {
    {"mysql://tally:secret@db:3307/users", "db", 3307, "tally", "secret", "users"},
    {"mysql+pymysql://root:pw@mysql:3306/flask", "mysql", 3306, "root", "pw", "flask"},
    {"MYSQL://tally:secret@db/users", "db", 3306, "tally", "secret", "users"},
    {"mysql://tally@db/users", "db", 3306, "tally", "", "users"},
    {"mysql://tally:@db/users", "db", 3306, "tally", "", "users"},
    {"mysql://tally:a@b:c/d@db/users", "db", 3306, "tally", "a@b:c/d", "users"},
    {"mysql://t%40lly:%2F%3A%40%25@db/us%20ers", "db", 3306, "t@lly", "/:@%", "us ers"},
    {"mysql://tally:x@[::1]:3306/users", "::1", 3306, "tally", "x", "users"},
    {"mysql://tally:x@[fe80::1]/users", "fe80::1", 3306, "tally", "x", "users"},
    {"mysql://tally:x@127.0.0.1", "127.0.0.1", 3306, "tally", "x", ""},
    {"mysql://tally:x@db/", "db", 3306, "tally", "x", ""},
    {"mysql://tally:x@db/users?charset=utf8mb4", "db", 3306, "tally", "x", "users"},
    {"mysql://tally:x@db/users?", "db", 3306, "tally", "x", "users"},
    {"mysql://tally:x@db/`;DROP", "db", 3306, "tally", "x", "`;DROP"},
};

START_TEST(a_good_uri_says_where_and_as_whom)
{
    const struct good *g = &goods[_i];
    struct database db = {0};
    const char *wrong = database_uri_parse(g->text, &db);
    ck_assert_msg(!wrong, "%s: %s", g->text, wrong);
    ck_assert_str_eq(db.host, g->host);
    ck_assert_int_eq(db.port, g->port);
    ck_assert_str_eq(db.user, g->user);
    ck_assert_str_eq(db.password, g->password);
    ck_assert_str_eq(db.name, g->name);
    database_done(&db);
}
END_TEST

static const struct bad {
    const char *text, *says;
} bads[] = {
    {"", "scheme"},
    {SECRET, "scheme"},
    {"postgres://tally:" SECRET "@db/users", "mysql://"},
    {"mysql+mysqldb://tally:" SECRET "@db/users", "mysql://"},
    {"mysqlx://tally:" SECRET "@db/users", "mysql://"},
    {"mysql:/tally:" SECRET "@db/users", "scheme"},
    {"mysql://db/users", "user"},
    {"mysql://:" SECRET "@db/users", "user"},
    {"mysql://tally:" SECRET "@/users", "host"},
    {"mysql://tally:" SECRET "@:3306/users", "host"},
    {"mysql://tally:" SECRET "@db:0/users", "port"},
    {"mysql://tally:" SECRET "@db:65536/users", "port"},
    {"mysql://tally:" SECRET "@db:33o6/users", "port"},
    {"mysql://tally:" SECRET "@db:-1/users", "port"},
    {"mysql://tally:" SECRET "@::1/users", "host"},
    {"mysql://tally:" SECRET "@[::1/users", "]"},
    {"mysql://tally:" SECRET "@db/users/more", "/"},
    {"mysql://tally:" SECRET "@db/users%2Fmore", "/"},
    {"mysql://tally:" SECRET "@db/users?ssl=true", "charset"},
    {"mysql://tally:" SECRET "@db/users?charset=latin1", "charset"},
    {"mysql://tally:" SECRET "@db/users?charset=utf8mb4&x=" SECRET, "charset"},
    {"mysql://tally:" SECRET "%@db/users", "%"},
    {"mysql://tally:" SECRET "%zz@db/users", "%"},
    {"mysql://tally:" SECRET "%00@db/users", "%00"},
    {"mysql://tally:" SECRET " @db/users", "white space"},
    {"mysql://tally:" SECRET "\n@db/users", "white space"},
};

static void assert_refused(const char *text, const char *says)
{
    struct database db = {.port = 7};
    const char *wrong = database_uri_parse(text, &db);
    ck_assert_msg(wrong != NULL, "%s was taken", text);
    ck_assert_msg(strstr(wrong, says) != NULL, "%s: %s", text, wrong);
    ck_assert_msg(strstr(wrong, SECRET) == NULL, "%s: %s", text, wrong);
    ck_assert_ptr_null(db.host);
    ck_assert_int_eq(db.port, 7);
}

START_TEST(a_bad_uri_is_refused_and_quoted_nowhere)
{
    assert_refused(bads[_i].text, bads[_i].says);
}
END_TEST

static void assert_part_limit(const char *format, size_t limit, const char *says)
{
    struct database db = {0};
    char *part = xmalloc(limit + 2);
    memset(part, 'x', limit + 1);
    part[limit + 1] = '\0';
    char *longer = xasprintf(format, part);
    char *longest = xasprintf(format, part + 1);
    assert_refused(longer, says);
    ck_assert_ptr_null(database_uri_parse(longest, &db));
    database_done(&db);
    free(part);
    free(longer);
    free(longest);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
START_TEST(each_part_has_a_bound)
{
    assert_part_limit("mysql://%s:p@db/users", 80, "80 bytes");
    assert_part_limit("mysql://tally:p@db/%s", 64, "64 bytes");
    assert_part_limit("mysql://tally:%s@db/users", 4096 - strlen("mysql://tally:@db/users"),
                      "4096 bytes");
}
END_TEST
#pragma GCC diagnostic pop

static Suite *make_suite(void)
{
    Suite *suite = suite_create("database_uri");
    TCase *t = tcase_create("parse");
    tcase_add_loop_test(t, a_good_uri_says_where_and_as_whom, 0, COUNT(goods));
    tcase_add_loop_test(t, a_bad_uri_is_refused_and_quoted_nowhere, 0, COUNT(bads));
    tcase_add_test(t, each_part_has_a_bound);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
