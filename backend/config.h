/* The backend's configuration: the rows of config.def as a struct, and what follows from them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "backend/database_uri.h"
#include "lib/config.h"

#include "lib/config_fields.h"
struct backend_config {
#include "backend/config.def"
    struct database database; /* of DATABASE_URI */
    /* Who migrates: MIGRATE_DATABASE_URI where it is set, else `database` again. Its name is always
     * that of `database`. */
    struct database migration;
    bool has_migration; /* MIGRATE_DATABASE_URI is set */
};
extern const struct config_setting backend_settings[];
extern const size_t backend_settings_count;

/* Reads the environment. Appends a line for each setting that is wrong to `errors`, and returns how
 * many were. Call backend_config_done in any case. */
MUST_USE int backend_config_load(struct backend_config *config, struct buf *errors);
void backend_config_done(struct backend_config *config);
