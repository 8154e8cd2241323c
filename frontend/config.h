/* The frontend's settings. */
#pragma once

#include <stddef.h>
#include "lib/config.h"
#include "lib/must.h"
#include "lib/url.h"

struct buf;

struct frontend_config {
#define SETTING_INT(field, name, fallback, min, max, help) long field;
#define SETTING_TEXT(field, name, fallback, help) char *field;
#define SETTING_CHOICE(field, name, fallback, choices, help) int field;
#define SETTING_SECRET(field, name, fallback, help) char *field;
#include "frontend/config.def"
#undef SETTING_INT
#undef SETTING_TEXT
#undef SETTING_CHOICE
#undef SETTING_SECRET
    struct url redis;       /* redis_url, parsed */
    char *environment_name; /* develop, green, blue */
    char *served_by;        /* pod_name, or the host's name */
};

extern const struct config_setting frontend_settings[];
extern const size_t frontend_settings_count;

/* Fills `config` from the environment and checks what one setting means for another. Appends a line
 * for each thing that is wrong, and returns how many there are. frontend_config_done in any case.
 */
MUST_USE int frontend_config_load(struct frontend_config *config, struct buf *errors);
void frontend_config_done(struct frontend_config *config);
