/* tally-backend: reads the users from the database, and brings the database up to date. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/config.h"
#include "backend/migrate.h"
#include "backend/service.h"
#include "backend/store.h"
#include "lib/buf.h"
#include "lib/cli.h"
#include "lib/mem.h"

#define EXIT_USAGE 2

enum { WISH_MIGRATE = 1 << 0, WISH_SEED = 1 << 1 };

static const char *const own_options[] = {"--migrate", "--seed", NULL};

static int migrate(const struct backend_config *c, unsigned wishes)
{
    struct migrate_options o = {.admin = &c->migration,
                                .application = c->has_migration ? &c->database : NULL,
                                .timeout_s = (unsigned)c->migrate_timeout_s,
                                .schema = wishes & WISH_MIGRATE,
                                .seed = wishes & WISH_SEED};
    struct buf said = {0};
    char *reason = NULL;
    int status = migrate_run(&o, &said, &reason);
    if (said.length > 0)
        fputs(said.data, stdout);
    if (status)
        fprintf(stderr, "%s\n", reason);
    free(reason);
    buf_done(&said);
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* libuv's threads are shared by all loops, and started at the first use: each connection needs one,
 * and two are left for looking up names. */
static int serve(const struct backend_config *c)
{
    long pool = c->db_pool > c->workers ? c->db_pool : c->workers;
    char *size = xasprintf("%ld", pool + 2);
    setenv("UV_THREADPOOL_SIZE", size, 1);
    free(size);
    return backend_run(c);
}

static int act(enum cli_wish wish, unsigned wishes, const struct backend_config *c)
{
    if (wish == CLI_HEALTHCHECK)
        return cli_healthcheck(c->listen_address, (int)c->port);
    if (wish == CLI_CHECK_CONFIG) {
        puts("the settings are valid");
        return EXIT_SUCCESS;
    }
    signal(SIGPIPE, SIG_IGN); /* libmysqlclient writes to sockets that may be closed */
    store_library_init();
    int status = wish == CLI_SERVE ? serve(c) : migrate(c, wishes);
    store_library_done();
    return status;
}

int main(int argc, char **argv)
{
    const struct cli_service service = {
        .name = "tally-backend",
        .purpose = "reads the users from the database",
        .more_options =
            "  --migrate       brings the database up to date, creating what is missing\n"
            "  --seed          puts the first users into an empty table\n",
        .table = backend_settings,
        .table_count = backend_settings_count};
    unsigned wishes = 0;
    enum cli_wish wish = cli_parse(&service, argc, argv, own_options, &wishes);
    if (wish == CLI_EXIT_OK || wish == CLI_EXIT_USAGE)
        return wish == CLI_EXIT_OK ? EXIT_SUCCESS : EXIT_USAGE;
    struct backend_config config;
    struct buf errors = {0};
    int wrong = backend_config_load(&config, &errors);
    if (wrong > 0)
        fputs(errors.data, stderr);
    int status = wrong > 0 ? EXIT_USAGE : act(wish, wishes, &config);
    buf_done(&errors);
    backend_config_done(&config);
    return status;
}
