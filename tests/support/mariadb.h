/* A real MariaDB of a test's own: private data copied from a template, a port of its own. */
#pragma once

#include <stdbool.h>

/* DESIGN. The template is made once a machine, under TMPDIR, by whoever needs it first (about 2 s);
 * a copy and a start take less than one. The server listens on 127.0.0.1:port. Over TCP there are
 * `root` with the password "root" and `tally` with the password "t@lly:secret", who may do
 * everything in the empty database `tally`. Data survive mariadb_kill and mariadb_start. */
struct mariadb {
    struct process *process;
    char *directory; /* data, socket and log */
    int port;
    char *uri;               /* of tally:  mysql://tally:…@127.0.0.1:port/tally */
    char *root_uri;          /* of root: for migrations */
    const char *const *more; /* borrowed: further arguments of the server, or NULL */
};

#define MARIADB_PASSWORD "t@lly:secret"

/* Prepares and starts; under `directory`, which is the caller's. */
struct mariadb *mariadb_new(const char *directory);
/* The same with further arguments, NULL-ended, which must live as long as it does. */
struct mariadb *mariadb_new_with(const char *directory, const char *const *more);
/* Starts again after mariadb_kill; waits until it answers. */
void mariadb_start(struct mariadb *m);
void mariadb_kill(struct mariadb *m);
void mariadb_free(struct mariadb *m);

/* Runs statements, separated by ;, as root in the database tally. An error fails the test. */
void mariadb_run(struct mariadb *m, const char *sql);
/* The first column of the first row; the caller frees it. NULL when there is none. */
char *mariadb_ask(struct mariadb *m, const char *sql);
