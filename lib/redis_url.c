/* Which URLs the Redis client can use. */
#include "lib/redis.h"
#include "lib/redis_tls.h"
#include "lib/url.h"
#include <stdlib.h>
#include <string.h>

enum { DATABASE_MAX = 65535 };

static bool is_database_number(const char *text)
{
    char *end;
    if (!*text)
        return true;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long number = strtoul(text, &end, 10);
    return *end == '\0' && number <= DATABASE_MAX;
}

const char *redis_check_url(const struct url *url)
{
    bool tls = strcmp(url->scheme, "rediss") == 0;
    if (!tls && strcmp(url->scheme, "redis") != 0)
        return "the scheme must be redis or rediss";
    if (tls && !TALLY_REDIS_TLS)
        return "rediss (TLS) is not in this build: it needs hiredis 1.0 or later";
    if (!*url->host)
        return "a host is missing";
    if (!is_database_number(url->path))
        return "what follows the host must be a database number, such as /0";
    if (url->user && *url->user && !url->password)
        return "a user needs a password";
    if (url->query)
        return "nothing may follow the database number";
    return NULL;
}
