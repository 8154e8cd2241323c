/* The backend's configuration: reads the environment, and checks what depends on several settings.
 */
#include "backend/config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/mem.h"

#define CONFIG_STRUCT struct backend_config
#include "lib/config_rows.h"
const struct config_setting backend_settings[] = {
#include "backend/config.def"
};
const size_t backend_settings_count = sizeof backend_settings / sizeof *backend_settings;

static int wrong(struct buf *errors, const char *name, const char *what)
{
    buf_printf(errors, "%s: %s\n", name, what);
    return 1;
}

/* A secret whose file cannot be read is empty, and told of already. */
static bool has_error(const struct buf *errors, const char *name)
{
    return errors->length > 0 && strstr(errors->data, name) != NULL;
}

static int load_database(struct backend_config *c, struct buf *errors)
{
    if (!*c->database_uri)
        return has_error(errors, "DATABASE_URI")
                   ? 0
                   : wrong(errors, "DATABASE_URI",
                           "it is required: mysql://user:password@host:port/db");
    const char *what = database_uri_parse(c->database_uri, &c->database);
    if (!what && !*c->database.name)
        what = "the name of the database is missing: it stands behind the port, as /db";
    return what ? wrong(errors, "DATABASE_URI", what) : 0;
}

static int load_migration(struct backend_config *c, struct buf *errors)
{
    c->has_migration = *c->migrate_database_uri != '\0';
    const char *text = c->has_migration ? c->migrate_database_uri : c->database_uri;
    if (!*text)
        return 0; /* said of DATABASE_URI already */
    const char *what = database_uri_parse(text, &c->migration);
    if (what) /* DATABASE_URI's own fault is said already */
        return c->has_migration ? wrong(errors, "MIGRATE_DATABASE_URI", what) : 0;
    if (!*c->migration.name && c->database.name) {
        free(c->migration.name);
        c->migration.name = xstrdup(c->database.name);
    }
    if (c->database.name && strcmp(c->migration.name, c->database.name) != 0)
        return wrong(errors, "MIGRATE_DATABASE_URI",
                     "the name of the database is not that of DATABASE_URI");
    return 0;
}

static int check_ca_file(const struct backend_config *c, struct buf *errors)
{
    bool named = *c->database_ca_file, verify = c->database_tls == DATABASE_TLS_VERIFY;
    if (named && !verify)
        return wrong(errors, "DATABASE_CA_FILE", "it has no effect unless DATABASE_TLS is verify");
    if (verify && access(named ? c->database_ca_file : DATABASE_SYSTEM_CA, R_OK) != 0)
        return wrong(errors, "DATABASE_CA_FILE",
                     named ? "the file cannot be read"
                           : "it is required here: there is no " DATABASE_SYSTEM_CA);
    return 0;
}

static void set_tls(const struct backend_config *c, struct database *db)
{
    db->tls = (enum database_tls)c->database_tls;
    db->ca_file = c->database_ca_file;
}

int backend_config_load(struct backend_config *c, struct buf *errors)
{
    *c = (struct backend_config){0};
    int count = config_load(backend_settings, backend_settings_count, c, errors);
    count += load_database(c, errors) + load_migration(c, errors) + check_ca_file(c, errors);
    set_tls(c, &c->database);
    set_tls(c, &c->migration);
    return count;
}

void backend_config_done(struct backend_config *c)
{
    database_done(&c->database);
    database_done(&c->migration);
    config_done(backend_settings, backend_settings_count, c);
}
