/* One connection to the database, and the queries: all that knows libmysqlclient. */
#include "backend/store.h"

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "backend/database_uri.h"
#include "lib/buf.h"
#include "lib/mem.h"

/* Names differ between MariaDB's connector, which has this macro, and Oracle's library. */
#ifdef MARIADB_PACKAGE_VERSION
#define IS_MARIADB 1
#endif

struct store {
    MYSQL mysql;
};

/* A server may be configured otherwise. Without autocommit a pooled connection would go on seeing
 * the rows of its first read; the modes decide how literals are quoted. */
static const char session_sql[] =
    "SET SESSION autocommit = 1, SESSION sql_mode = 'STRICT_ALL_TABLES'";
static const char users_sql[] = "SELECT userName FROM users WHERE userName IS NOT NULL "
                                "ORDER BY id LIMIT %lu";

void store_library_init(void)
{
    MUST(mysql_library_init(0, NULL, NULL) == 0);
}

void store_library_done(void)
{
    mysql_library_end();
}

void store_thread_init(void)
{
    MUST(mysql_thread_init() == 0);
}

void store_thread_done(void)
{
    mysql_thread_end();
}

static int classify(unsigned number)
{
    if (number >= CR_MIN_ERROR && number < 3000) /* the client's own: it lost the server */
        return UV_ECONNRESET;
    switch (number) {
    case ER_SERVER_SHUTDOWN:
    case ER_NET_READ_INTERRUPTED:
#ifdef ER_CONNECTION_KILLED
    case ER_CONNECTION_KILLED:
#endif
        return UV_ECONNRESET;
    case ER_DBACCESS_DENIED_ERROR:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_ERROR:
    case ER_BAD_DB_ERROR:
        return UV_EACCES;
    default:
        return UV_EPROTO;
    }
}

/* Why there is no connection: a server that is not there (yet), or one that does not want us. */
static int classify_open(unsigned number)
{
    switch (number) {
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_UNKNOWN_HOST:
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_HANDSHAKE_ERR:
    case CR_SERVER_LOST:
    case ER_CON_COUNT_ERROR:
    case ER_SERVER_SHUTDOWN:
        return UV_ECONNREFUSED;
    default:
        return classify(number) == UV_EACCES ? UV_EACCES : UV_EPROTO;
    }
}

static int fail(struct store *s, char *reason)
{
    unsigned number = mysql_errno(&s->mysql);
    snprintf(reason, STORE_REASON, "%s (%u)", mysql_error(&s->mysql), number);
    return classify(number);
}

static void set_bool(MYSQL *mysql, enum mysql_option option, bool value)
{
    mysql_options(mysql, option, &value);
}

/* A file is always named. Oracle's library knows no system store; and MariaDB's, from 3.4 on, takes
 * a certificate of any signer where no file is named and the password is right. It also compares no
 * names for 127.0.0.1 and ::1, where nobody stands between. */
static void set_ca(MYSQL *mysql, const struct database *db)
{
    if (db->tls == DATABASE_TLS_VERIFY)
        mysql_options(mysql, MYSQL_OPT_SSL_CA, *db->ca_file ? db->ca_file : DATABASE_SYSTEM_CA);
}

#ifdef IS_MARIADB
/* From 3.4 on the connector verifies unless it is told not to. */
static void set_tls(MYSQL *mysql, const struct database *db)
{
    set_bool(mysql, MYSQL_OPT_SSL_ENFORCE, db->tls != DATABASE_TLS_OFF);
    set_bool(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, db->tls == DATABASE_TLS_VERIFY);
    set_ca(mysql, db);
}
#else
static void set_tls(MYSQL *mysql, const struct database *db)
{
    static const unsigned modes[] = {[DATABASE_TLS_OFF] = SSL_MODE_DISABLED,
                                     [DATABASE_TLS_REQUIRE] = SSL_MODE_REQUIRED,
                                     [DATABASE_TLS_VERIFY] = SSL_MODE_VERIFY_IDENTITY};
    mysql_options(mysql, MYSQL_OPT_SSL_MODE, &modes[db->tls]);
    set_ca(mysql, db);
    /* caching_sha2_password sends the password encrypted for this key where there is no TLS. */
    set_bool(mysql, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, true);
}
#endif

/* Without the protocol "localhost" would mean a socket file. */
static void set_options(MYSQL *mysql, const struct store_options *o)
{
    unsigned protocol = MYSQL_PROTOCOL_TCP, no_files = 0;
    mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &o->timeout_s);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &o->timeout_s);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &o->timeout_s);
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no_files);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(mysql, MYSQL_INIT_COMMAND, session_sql);
    set_tls(mysql, o->database);
}

static int log_in(struct store *s, const struct store_options *o, char *reason)
{
    const struct database *db = o->database;
    if (!mysql_real_connect(&s->mysql, db->host, db->user, db->password,
                            o->migrating ? NULL : db->name, (unsigned)db->port, NULL,
                            o->migrating ? CLIENT_MULTI_STATEMENTS : 0)) {
        fail(s, reason);
        return classify_open(mysql_errno(&s->mysql));
    }
    /* MariaDB's connector 3.3 goes on without TLS where the server has none, whatever was asked. */
    if (db->tls != DATABASE_TLS_OFF && !mysql_get_ssl_cipher(&s->mysql)) {
        snprintf(reason, STORE_REASON, "the server does not speak TLS");
        return UV_EPROTO;
    }
    return 0;
}

int store_open(const struct store_options *o, struct store **ret_store, char *reason)
{
    struct store *s = xcalloc(1, sizeof *s);
    MUST(mysql_init(&s->mysql) != NULL);
    set_options(&s->mysql, o);
    int status = log_in(s, o, reason);
    if (status)
        store_close(s);
    else
        *ret_store = s;
    return status;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    mysql_close(&s->mysql);
    free(s);
}

/* False, and the JSON as it was, when it would become too long. */
static bool put_user(struct buf *json, const char *name, size_t length)
{
    size_t before = json->length;
    buf_puts(json, before > 1 ? ",{\"userName\":" : "{\"userName\":");
    buf_put_json(json, name, length);
    buf_puts(json, "}");
    if (json->length + 2 <= STORE_USERS_BYTES)
        return true;
    json->length = before;
    return false;
}

static void render_users(MYSQL_RES *rows, unsigned limit, struct store_users *ret)
{
    struct buf json = {0};
    struct store_users users = {0};
    MYSQL_ROW row;
    buf_puts(&json, "[");
    while ((row = mysql_fetch_row(rows)) != NULL) {
        users.left_out =
            users.count == limit || !put_user(&json, row[0], mysql_fetch_lengths(rows)[0]);
        if (users.left_out)
            break;
        users.count++;
    }
    buf_puts(&json, "]\n");
    users.json = buf_take(&json, &users.length);
    *ret = users;
}

int store_read_users(struct store *s, unsigned limit, struct store_users *ret_users, char *reason)
{
    char sql[sizeof users_sql + 20];
    int length = snprintf(sql, sizeof sql, users_sql, (unsigned long)limit + 1);
    if (mysql_real_query(&s->mysql, sql, (unsigned long)length) != 0)
        return fail(s, reason);
    MYSQL_RES *rows = mysql_store_result(&s->mysql);
    if (!rows)
        return fail(s, reason);
    render_users(rows, limit, ret_users);
    mysql_free_result(rows);
    return 0;
}

/* Reads away the results of all statements, else the connection cannot be used again. */
static int finish(struct store *s, char *reason)
{
    int more;
    do {
        mysql_free_result(mysql_store_result(&s->mysql));
        if (mysql_errno(&s->mysql) != 0)
            return fail(s, reason);
        more = mysql_next_result(&s->mysql);
    } while (more == 0);
    return more > 0 ? fail(s, reason) : 0;
}

int store_execute(struct store *s, const char *sql, char *reason)
{
    if (mysql_real_query(&s->mysql, sql, strlen(sql)) != 0)
        return fail(s, reason);
    return finish(s, reason);
}

int store_execute_secret(struct store *s, const char *sql, char *reason)
{
    int status = store_execute(s, sql, reason);
    if (status == UV_EPROTO)
        snprintf(reason, STORE_REASON, "the server answers error %u (%s)", mysql_errno(&s->mysql),
                 mysql_sqlstate(&s->mysql));
    return status;
}

int store_ask_number(struct store *s, const char *sql, int64_t *ret_number, char *reason)
{
    if (mysql_real_query(&s->mysql, sql, strlen(sql)) != 0)
        return fail(s, reason);
    MYSQL_RES *rows = mysql_store_result(&s->mysql);
    MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
    int status = row ? 0 : fail(s, reason);
    if (row)
        *ret_number = row[0] ? strtoll(row[0], NULL, 10) : 0;
    mysql_free_result(rows);
    return status;
}

int store_use_database(struct store *s, const char *name, char *reason)
{
    return mysql_select_db(&s->mysql, name) == 0 ? 0 : fail(s, reason);
}

void store_put_text(struct store *s, struct buf *sql, const char *text)
{
    size_t length = strlen(text);
    char *escaped = xmalloc(length * 2 + 1);
    unsigned long n = mysql_real_escape_string(&s->mysql, escaped, text, length);
    buf_puts(sql, "'");
    buf_append(sql, escaped, n);
    buf_puts(sql, "'");
    free(escaped);
}

void store_put_name(struct buf *sql, const char *name)
{
    buf_puts(sql, "`");
    for (; *name; name++) {
        buf_append(sql, name, 1);
        if (*name == '`')
            buf_append(sql, name, 1);
    }
    buf_puts(sql, "`");
}
