/* A real MariaDB of a test's own: private data copied from a template, a port of its own. */
#include "tests/support/mariadb.h"

#include <check.h>
#include <fcntl.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/mem.h"
#include "tests/support/net.h"
#include "tests/support/process.h"

enum { START_MS = 20000, INSTALL_MS = 60000, ARGUMENTS_MAX = 32 };

/* Run by the server at every start: users and the database, however often. */
static const char init_sql[] =
    "CREATE DATABASE IF NOT EXISTS tally CHARACTER SET utf8mb4;\n"
    "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY 'root';\n"
    "ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY 'root';\n"
    "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"
    "CREATE USER IF NOT EXISTS 'tally'@'127.0.0.1' IDENTIFIED BY '" MARIADB_PASSWORD "';\n"
    "GRANT ALL ON tally.* TO 'tally'@'127.0.0.1';\n";

static const char *as_user(void)
{
    return geteuid() == 0 ? "--user=root" : "--skip-symbolic-links";
}

static void must_run(const char *name, const char *directory, const char *const *argv)
{
    char *output;
    const struct process_options o = {.name = name, .directory = directory, .argv = argv};
    int status = process_run(&o, INSTALL_MS, &output);
    ck_assert_msg(status == 0, "%s ended with %d:\n%s", name, status, output);
    free(output);
}

static void template_make(const char *home, const char *template)
{
    char *draft = xasprintf("%s/draft", home);
    char *where = xasprintf("--datadir=%s", draft);
    /* Not /tmp: each MariaDB that starts deletes the temporary tables of the others there. */
    char *scratch = xasprintf("--tmpdir=%s", home);
    const char *const clear[] = {"rm", "-rf", draft, NULL};
    const char *const install[] = {"mariadb-install-db",
                                   "--no-defaults",
                                   where,
                                   scratch,
                                   "--auth-root-authentication-method=normal",
                                   "--skip-test-db",
                                   "--skip-name-resolve",
                                   "--innodb-log-file-size=4M",
                                   geteuid() == 0 ? "--user=root" : NULL,
                                   NULL};
    must_run("clear", home, clear);
    must_run("install", home, install);
    ck_assert_int_eq(rename(draft, template), 0); /* a half-made one never has the name */
    free(draft);
    free(where);
    free(scratch);
}

/* The path of the template's data, the caller frees it. One test makes it, the others wait. */
static char *template_get(void)
{
    const char *tmp = getenv("TMPDIR");
    char *home = xasprintf("%s/tally-mariadb.%u", tmp && *tmp ? tmp : "/tmp", (unsigned)getuid());
    char *template = xasprintf("%s/%s", home, MYSQL_SERVER_VERSION);
    char *lock = xasprintf("%s/lock", home);
    mkdir(home, 0700);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_msg(fd >= 0 && flock(fd, LOCK_EX) == 0, "cannot lock %s", lock);
    if (access(template, F_OK) != 0)
        template_make(home, template);
    close(fd);
    free(lock);
    free(home);
    return template;
}

void mariadb_start(struct mariadb *m)
{
    char *own[] = {xstrdup("mariadbd"),
                   xstrdup("--no-defaults"),
                   xstrdup(as_user()),
                   xasprintf("--datadir=%s/data", m->directory),
                   xasprintf("--tmpdir=%s", m->directory),
                   xasprintf("--socket=%s/sock", m->directory),
                   xasprintf("--pid-file=%s/pid", m->directory),
                   xasprintf("--init-file=%s/init.sql", m->directory),
                   xasprintf("--port=%d", m->port),
                   xstrdup("--bind-address=127.0.0.1"),
                   xstrdup("--skip-name-resolve"),
                   xstrdup("--innodb-buffer-pool-size=8M"),
                   xstrdup("--innodb-log-file-size=4M"),
                   xstrdup("--innodb-buffer-pool-dump-at-shutdown=0"),
                   xstrdup("--innodb-buffer-pool-load-at-startup=0"),
                   xstrdup("--key-buffer-size=1M"),
                   NULL};
    const char *argv[ARGUMENTS_MAX] = {NULL};
    size_t count = sizeof own / sizeof *own - 1;
    memcpy(argv, own, sizeof own);
    for (const char *const *more = m->more; more && *more; more++)
        argv[count++] = *more;
    ck_assert_uint_lt(count, ARGUMENTS_MAX);
    static const char *const own_clock[] = {"LD_PRELOAD=", NULL}; /* see tests/support/preload.h */
    const struct process_options o = {
        .name = "mariadb", .directory = m->directory, .argv = argv, .more_env = own_clock};
    process_free(m->process);
    m->process = process_start(&o);
    for (char **arg = own; *arg; arg++)
        free(*arg);
    process_wait_port(m->process, m->port, START_MS); /* it listens after the init file was run */
}

struct mariadb *mariadb_new(const char *directory)
{
    return mariadb_new_with(directory, NULL);
}

struct mariadb *mariadb_new_with(const char *directory, const char *const *more)
{
    struct mariadb *m = xcalloc(1, sizeof *m);
    m->more = more;
    char *template = template_get();
    m->directory = xasprintf("%s/mariadb", directory);
    ck_assert_int_eq(mkdir(m->directory, 0700), 0);
    char *data = xasprintf("%s/data", m->directory);
    char *init = xasprintf("%s/init.sql", m->directory);
    const char *const copy[] = {"cp", "-a", template, data, NULL};
    must_run("copy", m->directory, copy);
    file_write(init, init_sql);
    m->port = port_reserve();
    m->uri = xasprintf("mysql://tally:%s@127.0.0.1:%d/tally", MARIADB_PASSWORD, m->port);
    m->root_uri = xasprintf("mysql://root:root@127.0.0.1:%d/tally", m->port);
    mariadb_start(m);
    free(template);
    free(data);
    free(init);
    return m;
}

void mariadb_kill(struct mariadb *m)
{
    process_kill(m->process);
}

void mariadb_free(struct mariadb *m)
{
    if (!m)
        return;
    process_free(m->process);
    free(m->directory);
    free(m->uri);
    free(m->root_uri);
    free(m);
}

char *mariadb_ask(struct mariadb *m, const char *sql)
{
    char *first = NULL;
    unsigned seconds = START_MS / 1000;
    MYSQL *db = mysql_init(NULL);
    mysql_options(db, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    mysql_options(db, MYSQL_OPT_READ_TIMEOUT, &seconds);
    mysql_options(db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    ck_assert_msg(mysql_real_connect(db, "127.0.0.1", "root", "root", "tally", (unsigned)m->port,
                                     NULL, CLIENT_MULTI_STATEMENTS) != NULL,
                  "%s", mysql_error(db));
    int more = mysql_query(db, sql);
    while (more == 0) {
        MYSQL_RES *result = mysql_store_result(db);
        MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
        if (row && row[0] && !first)
            first = xstrdup(row[0]);
        mysql_free_result(result);
        more = mysql_next_result(db);
    }
    ck_assert_msg(more == -1, "%s: %s", sql, mysql_error(db));
    mysql_close(db);
    return first;
}

void mariadb_run(struct mariadb *m, const char *sql)
{
    free(mariadb_ask(m, sql));
}
