/* URLs of stores: scheme://user:password@host:port/path, percent-encoded, IPv6 in brackets. */
#pragma once

#include "lib/must.h"

struct url {
    char *scheme;   /* lower case */
    char *user;     /* decoded; NULL when absent or empty */
    char *password; /* decoded; NULL when absent; reaches up to the last @ */
    char *host;     /* without brackets */
    int port;       /* 0 when absent */
    char *path;     /* decoded, without the leading slash; "" when absent */
    char *query;    /* as written, without ?; NULL when absent */
};

/* Returns NULL, or a sentence that says what is wrong and quotes nothing of the text (it may hold a
 * password). On failure *ret_url stays untouched. */
MUST_USE const char *url_parse(const char *text, struct url *ret_url);
void url_done(struct url *url);
