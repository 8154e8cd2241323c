/* DATABASE_URI: mysql://user:password@host:port/name, or mysql+pymysql:// as the predecessors wrote
 * it. */
#pragma once

#include "lib/must.h"

/* The CAs that the system trusts, where no file of our own is named. */
#define DATABASE_SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

enum database_tls { DATABASE_TLS_OFF, DATABASE_TLS_REQUIRE, DATABASE_TLS_VERIFY };

/* Where the database is and as whom to log in. */
struct database {
    char *host;
    char *user;
    char *password; /* "" when the URI has none */
    char *name;     /* of the database; "" when the URI has none */
    int port;
    enum database_tls tls;
    const char *ca_file; /* borrowed from the configuration; "": the system's CAs */
};

/* Fills host to port, and leaves the rest. Returns NULL, or what is wrong, as the end of a
 * sentence about the setting; it quotes nothing of the text, which may hold a password. On failure
 * *ret stays untouched. */
MUST_USE const char *database_uri_parse(const char *text, struct database *ret);
void database_done(struct database *db);
