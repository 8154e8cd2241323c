/* --migrate and --seed: waits for the server, takes a lock, and does what is missing. */
#include "backend/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "backend/database_uri.h"
#include "backend/store.h"
#include "lib/buf.h"
#include "lib/embed.h"
#include "lib/mem.h"

/* DESIGN. One lock of the server, by name, is held from the log-in to the end: of two migrations
 * the second finds everything done. It ends with the connection, however that ends. A migration
 * that broke off in the middle is repeated from the start, since each step looks first. */

EMBED(schema_sql, "backend/schema.sql");

enum { RETRY_MS = 250 };

struct migration {
    const struct migrate_options *options;
    struct store *store;
    struct buf *said;
    char reason[STORE_REASON];
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* A server that is not there yet is worth waiting for; one that refuses the log-in is not. */
static int connect_server(struct migration *m)
{
    struct store_options o = {
        .database = m->options->admin, .timeout_s = m->options->timeout_s, .migrating = true};
    uint64_t end_ms = now_ms() + m->options->timeout_s * 1000ULL;
    int status;
    while ((status = store_open(&o, &m->store, m->reason)) == UV_ECONNREFUSED &&
           now_ms() + RETRY_MS < end_ms)
        pause_ms(RETRY_MS);
    return status;
}

/* The server gives up before the connection does. */
static int take_lock(struct migration *m)
{
    int64_t got = 0;
    unsigned wait_s = m->options->timeout_s > 1 ? m->options->timeout_s - 1 : 1;
    char *sql = xasprintf("SELECT GET_LOCK('tally.migrate', %u)", wait_s);
    int status = store_ask_number(m->store, sql, &got, m->reason);
    free(sql);
    if (status == 0 && got != 1) {
        snprintf(m->reason, sizeof m->reason, "another migration holds the lock for too long");
        status = UV_ETIMEDOUT;
    }
    return status;
}

static int create_database(struct migration *m)
{
    const char *name = m->options->admin->name;
    struct buf sql = {0};
    buf_puts(&sql, "CREATE DATABASE IF NOT EXISTS ");
    store_put_name(&sql, name);
    buf_puts(&sql, " CHARACTER SET utf8mb4");
    int status = store_execute(m->store, sql.data, m->reason);
    buf_done(&sql);
    if (status == 0)
        buf_puts(m->said, "the database is created\n");
    return status ? status : store_use_database(m->store, name, m->reason);
}

/* Who may use the database need not be allowed to create one. */
static int use_database(struct migration *m)
{
    int status = store_use_database(m->store, m->options->admin->name, m->reason);
    if (status != UV_EACCES)
        return status;
    return m->options->schema ? create_database(m) : status;
}

static int apply_schema(struct migration *m)
{
    int status = store_execute(m->store, schema_sql, m->reason);
    if (status == 0)
        buf_puts(m->said, "the tables are up to date\n");
    return status;
}

static void put_account(struct migration *m, struct buf *sql)
{
    store_put_text(m->store, sql, m->options->application->user);
    buf_puts(sql, "@'%'");
}

static void put_login(struct migration *m, struct buf *sql, const char *verb)
{
    buf_puts(sql, verb);
    put_account(m, sql);
    buf_puts(sql, " IDENTIFIED BY ");
    store_put_text(m->store, sql, m->options->application->password);
    buf_puts(sql, ";\n");
}

/* What the application does today and nothing else. Rights on a table, since in those on a database
 * its name would be a pattern. */
static void put_grant(struct migration *m, struct buf *sql)
{
    buf_puts(sql, "GRANT SELECT ON ");
    store_put_name(sql, m->options->admin->name);
    buf_puts(sql, ".users TO ");
    put_account(m, sql);
}

static int create_application(struct migration *m)
{
    if (strcmp(m->options->application->user, m->options->admin->user) == 0) {
        buf_puts(m->said, "the application's user is the one that migrates: left as it is\n");
        return 0;
    }
    struct buf sql = {0};
    put_login(m, &sql, "CREATE USER IF NOT EXISTS ");
    put_login(m, &sql, "ALTER USER ");
    put_grant(m, &sql);
    int status = store_execute_secret(m->store, sql.data, m->reason);
    explicit_bzero(sql.data, sql.length);
    buf_done(&sql);
    if (status == 0)
        buf_puts(m->said, "the application's user may log in and read\n");
    return status;
}

/* One statement: it either sees an empty table and fills it, or does nothing. */
static int seed(struct migration *m)
{
    int64_t added = 0;
    int status = store_execute(m->store,
                               "INSERT INTO users (userName) SELECT name FROM ("
                               "SELECT 1 AS place, 'Bob' AS name UNION ALL SELECT 2, 'Jay' "
                               "UNION ALL SELECT 3, 'Matt' UNION ALL SELECT 4, 'Ferg' "
                               "UNION ALL SELECT 5, 'Mo') AS first_users "
                               "WHERE NOT EXISTS (SELECT * FROM users) ORDER BY place",
                               m->reason);
    if (status == 0)
        status = store_ask_number(m->store, "SELECT ROW_COUNT()", &added, m->reason);
    if (status == 0)
        buf_puts(m->said, added > 0 ? "the first users are there\n"
                                    : "the table has users already: nothing is added\n");
    return status;
}

static int do_steps(struct migration *m, const char **ret_step)
{
    const struct migrate_options *o = m->options;
    const struct {
        bool wanted;
        int (*act)(struct migration *m);
        const char *name;
    } steps[] = {{true, connect_server, "reach the database"},
                 {true, take_lock, "take the lock of migrations"},
                 {true, use_database, "use the database"},
                 {o->schema, apply_schema, "bring the tables up to date"},
                 {o->schema && o->application, create_application, "create the application's user"},
                 {o->seed, seed, "add the first users"}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int status = steps[i].wanted ? steps[i].act(m) : 0;
        *ret_step = steps[i].name;
        if (status)
            return status;
    }
    return 0;
}

int migrate_run(const struct migrate_options *options, struct buf *said, char **ret_reason)
{
    struct migration m = {.options = options, .said = said};
    const char *step = NULL;
    int status = do_steps(&m, &step);
    store_close(m.store);
    if (status)
        *ret_reason = xasprintf("cannot %s: %s", step, m.reason);
    return status;
}
