/* The backend's settings: what depends on several of them, and all that is wrong said at once. */
#include "backend/config.h"
#include "lib/buf.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define URI "mysql://tally:s3cr3t@db:3307/users"

/* A=1 and B=2, with a tab between, into the environment, which holds nothing else. */
static int load(const char *environment, struct backend_config *config, struct buf *errors)
{
    char copy[512];
    clearenv();
    snprintf(copy, sizeof copy, "%s", environment);
    for (char *at = strtok(copy, "\t"); at; at = strtok(NULL, "\t")) {
        char *equals = strchr(at, '=');
        *equals = '\0';
        setenv(at, equals + 1, 1);
    }
    return backend_config_load(config, errors);
}

START_TEST(a_uri_is_all_that_is_needed)
{
    struct backend_config c;
    struct buf errors = {0};
    ck_assert_int_eq(load("DATABASE_URI=" URI, &c, &errors), 0);
    ck_assert_uint_eq(errors.length, 0);
    ck_assert_str_eq(c.database.host, "db");
    ck_assert_int_eq(c.database.tls, DATABASE_TLS_OFF);
    ck_assert_int_eq(c.port, 5001);
    ck_assert(!c.has_migration);
    ck_assert_str_eq(c.migration.user, "tally");
    ck_assert_str_eq(c.migration.name, "users");
    backend_config_done(&c);
}
END_TEST

START_TEST(who_migrates_uses_the_applications_database)
{
    struct backend_config c;
    struct buf errors = {0};
    int wrong = load("DATABASE_URI=" URI "\tMIGRATE_DATABASE_URI=mysql://root:x@writer"
                     "\tDATABASE_TLS=verify\tDATABASE_CA_FILE=/dev/null",
                     &c, &errors);
    ck_assert_int_eq(wrong, 0);
    ck_assert(c.has_migration);
    ck_assert_str_eq(c.migration.host, "writer");
    ck_assert_str_eq(c.migration.name, "users");
    ck_assert_int_eq(c.migration.tls, DATABASE_TLS_VERIFY);
    ck_assert_str_eq(c.migration.ca_file, "/dev/null");
    backend_config_done(&c);
}
END_TEST

START_TEST(a_uri_may_stand_in_a_file)
{
    struct backend_config c;
    struct buf errors = {0};
    char *directory = directory_new("config"), path[256], environment[300];
    snprintf(path, sizeof path, "%s/uri", directory);
    snprintf(environment, sizeof environment, "DATABASE_URI_FILE=%s", path);
    file_write(path, URI "\n");
    ck_assert_int_eq(load(environment, &c, &errors), 0);
    ck_assert_str_eq(c.database.password, "s3cr3t");
    ck_assert_str_eq(c.database.name, "users");
    backend_config_done(&c);
    free(directory);
}
END_TEST

static const struct bad {
    const char *environment;
    int count;
    const char *says;
} bads[] = {
    {"PORT=5001", 1, "DATABASE_URI: it is required"},
    {"DATABASE_URI=", 1, "DATABASE_URI: it is required"},
    {"DATABASE_URI=mysql://tally:s3cr3t@db", 1,
     "DATABASE_URI: the name of the database is missing"},
    {"DATABASE_URI=redis://tally:s3cr3t@db/0", 1, "DATABASE_URI: it must begin with mysql://"},
    {"DATABASE_URI_FILE=/nowhere", 1, "DATABASE_URI_FILE: the file cannot be read"},
    {"DATABASE_URI=" URI "\tMIGRATE_DATABASE_URI=mysql://db", 1, "MIGRATE_DATABASE_URI: the user"},
    {"DATABASE_URI=" URI "\tMIGRATE_DATABASE_URI=mysql://root:s3cr3t@db/other", 1,
     "MIGRATE_DATABASE_URI: the name of the database is not that"},
    {"MIGRATE_DATABASE_URI=mysql://root:s3cr3t@db/other", 1, "DATABASE_URI: it is required"},
    {"DATABASE_URI=" URI "\tDATABASE_TLS=maybe", 1, "DATABASE_TLS: must be off, require or verify"},
    {"DATABASE_URI=" URI "\tDATABASE_CA_FILE=/dev/null", 1, "DATABASE_CA_FILE: it has no effect"},
    {"DATABASE_URI=" URI "\tDATABASE_TLS=verify\tDATABASE_CA_FILE=/nowhere", 1,
     "DATABASE_CA_FILE: the file cannot be read"},
    {"DATABASE_URI=" URI "\tDB_POOL=0", 1, "DB_POOL"},
    {"DATABASE_URI=s3cr3t\tPORT=http\tWORKERS=65\tMIGRATE_DATABASE_URI=s3cr3t", 4, "WORKERS"},
};

START_TEST(all_that_is_wrong_is_said_and_no_secret)
{
    const struct bad *b = &bads[_i];
    struct backend_config c;
    struct buf errors = {0};
    ck_assert_int_eq(load(b->environment, &c, &errors), b->count);
    ck_assert_msg(strstr(errors.data, b->says) != NULL, "%s: %s", b->environment, errors.data);
    ck_assert_msg(strstr(errors.data, "s3cr3t") == NULL, "%s", errors.data);
    int lines = 0;
    for (const char *at = errors.data; *at; at++)
        lines += *at == '\n';
    ck_assert_int_eq(lines, b->count);
    buf_done(&errors);
    backend_config_done(&c);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("backend_config");
    TCase *t = tcase_create("load");
    tcase_add_test(t, a_uri_is_all_that_is_needed);
    tcase_add_test(t, who_migrates_uses_the_applications_database);
    tcase_add_test(t, a_uri_may_stand_in_a_file);
    tcase_add_loop_test(t, all_that_is_wrong_is_said_and_no_secret, 0, COUNT(bads));
    suite_add_tcase(suite, t);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
