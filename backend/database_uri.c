/* DATABASE_URI: what a URL of a database must have beyond being a URL. */
#include "backend/database_uri.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/url.h"

enum { DEFAULT_PORT = 3306, MAX_URI = 4096, MAX_USER = 80, MAX_NAME = 64 };

/* Python's drivers are told their charset here; ours is always this one. */
static int query_is_harmless(const char *query)
{
    return !query || !*query || (strcmp(query, "charset=utf8mb4") == 0);
}

static const char *check(const struct url *url)
{
    if (strcmp(url->scheme, "mysql") != 0 && strcmp(url->scheme, "mysql+pymysql") != 0)
        return "it must begin with mysql:// or mysql+pymysql://";
    if (!url->user)
        return "the user is missing";
    if (strlen(url->user) > MAX_USER)
        return "the user has more than 80 bytes";
    if (strlen(url->path) > MAX_NAME)
        return "the name of the database has more than 64 bytes";
    if (strchr(url->path, '/'))
        return "the name of the database has a / in it";
    if (!query_is_harmless(url->query))
        return "after ? only charset=utf8mb4 may stand";
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
        return "it is longer than 4096 bytes";
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
