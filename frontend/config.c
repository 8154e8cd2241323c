/* The frontend's settings: the table, and what no table can check. */
#include "frontend/config.h"

#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/redis.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD(field) offsetof(struct frontend_config, field)
#define SETTING_INT(field_, name_, fallback_, min_, max_, help_)                                   \
    {.name = name_,                                                                                \
     .kind = CONFIG_INT,                                                                           \
     .offset = FIELD(field_),                                                                      \
     .fallback = fallback_,                                                                        \
     .min = min_,                                                                                  \
     .max = max_,                                                                                  \
     .help = help_},
#define SETTING_TEXT(field_, name_, fallback_, help_)                                              \
    {.name = name_,                                                                                \
     .kind = CONFIG_TEXT,                                                                          \
     .offset = FIELD(field_),                                                                      \
     .fallback = fallback_,                                                                        \
     .help = help_},
#define SETTING_CHOICE(field_, name_, fallback_, choices_, help_)                                  \
    {.name = name_,                                                                                \
     .kind = CONFIG_CHOICE,                                                                        \
     .offset = FIELD(field_),                                                                      \
     .fallback = fallback_,                                                                        \
     .choices = choices_,                                                                          \
     .help = help_},
#define SETTING_SECRET(field_, name_, fallback_, help_)                                            \
    {.name = name_,                                                                                \
     .kind = CONFIG_SECRET,                                                                        \
     .offset = FIELD(field_),                                                                      \
     .fallback = fallback_,                                                                        \
     .help = help_},

const struct config_setting frontend_settings[] = {
#include "frontend/config.def"
};
const size_t frontend_settings_count = sizeof(frontend_settings) / sizeof(frontend_settings[0]);

static char *environment_name(const struct frontend_config *c)
{
    for (size_t i = 0; i < frontend_settings_count; i++)
        if (frontend_settings[i].offset == FIELD(environment))
            return config_choice_name(frontend_settings[i].choices, c->environment);
    NEVER("the table has no environment");
}

static int complain(struct buf *errors, const char *name, const char *wrong)
{
    buf_printf(errors, "%s: %s\n", name, wrong);
    return 1;
}

static int check_redis(struct frontend_config *c, struct buf *errors)
{
    const char *wrong = url_parse(c->redis_url, &c->redis);
    if (!wrong)
        wrong = redis_check_url(&c->redis);
    return wrong ? complain(errors, "REDIS_URL", wrong) : 0;
}

static const char *backend_url_fault(const struct url *url)
{
    if (strcmp(url->scheme, "http") != 0 && strcmp(url->scheme, "https") != 0)
        return "must begin with http:// or https://";
    if (url->user || url->password)
        return "must not hold a user or a password";
    return NULL;
}

static int check_backend(const struct frontend_config *c, struct buf *errors)
{
    struct url url = {0};
    if (c->backend_url[0] == '\0')
        return 0;
    const char *wrong = url_parse(c->backend_url, &url);
    if (!wrong)
        wrong = backend_url_fault(&url);
    url_done(&url);
    return wrong ? complain(errors, "BACKEND_URL", wrong) : 0;
}

static int check_listen_address(const struct frontend_config *c, struct buf *errors)
{
    struct in6_addr address;
    if (inet_pton(AF_INET, c->listen_address, &address) == 1 ||
        inet_pton(AF_INET6, c->listen_address, &address) == 1)
        return 0;
    return complain(errors, "LISTEN_ADDRESS", "must be an IPv4 or IPv6 address");
}

static int check_ca_file(const struct frontend_config *c, struct buf *errors)
{
    if (c->redis_ca_file[0] == '\0' || access(c->redis_ca_file, R_OK) == 0)
        return 0;
    return complain(errors, "REDIS_CA_FILE", "the file cannot be read");
}

/* The server must not close a connection under a request that still waits. */
static int check_timeouts(const struct frontend_config *c, struct buf *errors)
{
    long longest =
        c->visit_timeout_ms > c->fetch_timeout_ms ? c->visit_timeout_ms : c->fetch_timeout_ms;
    if (c->connection_timeout_s * 1000 > longest)
        return 0;
    return complain(errors, "CONNECTION_TIMEOUT_S",
                    "must be longer than VISIT_TIMEOUT_MS and FETCH_TIMEOUT_MS");
}

static char *host_name(void)
{
    char name[HOST_NAME_MAX + 1] = "";
    if (gethostname(name, sizeof(name) - 1) < 0 || name[0] == '\0')
        return xstrdup("unknown");
    return xstrdup(name);
}

int frontend_config_load(struct frontend_config *c, struct buf *errors)
{
    memset(c, 0, sizeof(*c));
    int wrong = config_load(frontend_settings, frontend_settings_count, c, errors);
    wrong += check_redis(c, errors);
    wrong += check_backend(c, errors);
    wrong += check_listen_address(c, errors);
    wrong += check_ca_file(c, errors);
    wrong += check_timeouts(c, errors);
    c->environment_name = environment_name(c);
    c->served_by = c->pod_name[0] ? xstrdup(c->pod_name) : host_name();
    return wrong;
}

void frontend_config_done(struct frontend_config *c)
{
    url_done(&c->redis);
    free(c->environment_name);
    free(c->served_by);
    config_done(frontend_settings, frontend_settings_count, c);
    memset(c, 0, sizeof(*c));
}
