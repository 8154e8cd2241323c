/* DATABASE_URI: what a URL of a database must have beyond being a URL. */
#include "backend/database_uri.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/url.h"

enum { DEFAULT_PORT = 3306, MAX_URI = 4096, MAX_HOST = 255, MAX_USER = 80, MAX_NAME = 64 };

/* Drivers of other languages take their charset here; ours is always utf8mb4. */
static int query_is_harmless(const char *query)
{
    return !query || !*query || (strncmp(query, "charset=", 8) == 0 && !strchr(query, '&'));
}

static const char *check(const struct url *url)
{
    if (strcmp(url->scheme, "mysql") != 0 && strcmp(url->scheme, "mysql+pymysql") != 0)
        return "must begin with mysql:// or mysql+pymysql://";
    if (!url->host || !*url->host)
        return "names no host";
    if (strlen(url->host) > MAX_HOST)
        return "has a host name of more than 255 characters";
    if (!url->user || !*url->user)
        return "names no user";
    if (strlen(url->user) > MAX_USER)
        return "has a user name of more than 80 bytes";
    if (strlen(url->path) > MAX_NAME)
        return "has a database name of more than 64 bytes";
    if (strchr(url->path, '/'))
        return "has a / in the name of the database";
    if (!query_is_harmless(url->query))
        return "has parameters after ?; none but charset is known";
    return NULL;
}

static char *take(char **text)
{
    char *taken = *text ? *text : xstrdup("");
    *text = NULL;
    return taken;
}

const char *database_uri_parse(const char *text, struct database *ret)
{
    struct url url = {0};
    if (strlen(text) > MAX_URI)
        return "is longer than 4096 characters";
    const char *wrong = url_parse(text, &url);
    if (wrong)
        return wrong;
    wrong = check(&url);
    if (!wrong) {
        ret->host = take(&url.host);
        ret->user = take(&url.user);
        ret->password = take(&url.password);
        ret->name = take(&url.path);
        ret->port = url.port ? url.port : DEFAULT_PORT;
    }
    url_done(&url);
    return wrong;
}

void database_done(struct database *db)
{
    free(db->host);
    free(db->user);
    free(db->password);
    free(db->name);
    *db = (struct database){0};
}
