/* Fuzzes what reads addresses of stores: lib/url, REDIS_URL and DATABASE_URI. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "backend/database_uri.h"
#include "lib/mem.h"
#include "lib/must.h"
#include "lib/redis.h"
#include "lib/url.h"

/* Decoding never makes a part longer than the text that it came from. */
static void must_fit(const char *part, size_t length)
{
    MUST(part == NULL || strlen(part) <= length);
}

static void read_url(const char *text, size_t length)
{
    struct url url = {0};
    const char *wrong = url_parse(text, &url);
    if (wrong) {
        MUST(url.host == NULL && url.scheme == NULL && wrong[0] != '\0');
        return;
    }
    MUST(url.scheme && url.host && url.path);
    MUST(url.port >= 0 && url.port <= 65535);
    const char *const parts[] = {url.scheme, url.user, url.password, url.host, url.path, url.query};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        must_fit(parts[i], length);
    wrong = redis_check_url(&url);
    MUST(wrong == NULL || wrong[0] != '\0');
    url_done(&url);
}

static void read_database_uri(const char *text, size_t length)
{
    struct database db = {0};
    const char *wrong = database_uri_parse(text, &db);
    if (wrong) {
        MUST(db.host == NULL && wrong[0] != '\0');
        return;
    }
    MUST(db.host && db.host[0] && db.user && db.password && db.name);
    MUST(db.port > 0 && db.port <= 65535);
    must_fit(db.password, length);
    database_done(&db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    read_url(text, size);
    read_database_uri(text, size);
    free(text);
    return 0;
}
