/* --migrate and --seed: brings the database to what this release needs. */
#pragma once

#include <stdbool.h>
#include "lib/must.h"

struct buf;
struct database;

struct migrate_options {
    const struct database *admin;       /* who migrates, and which database */
    const struct database *application; /* the user to create; NULL: none */
    unsigned timeout_s;                 /* of waiting for the server, and of each statement */
    bool schema;                        /* --migrate */
    bool seed;                          /* --seed */
};

/* Everything here can be repeated, and run twice at the same time: the second waits. Appends a line
 * for each thing done to `said`. 0; or a negative UV_E… and the reason as a sentence without
 * secrets, which the caller frees. Blocks. */
MUST_USE int migrate_run(const struct migrate_options *options, struct buf *said,
                         char **ret_reason);
