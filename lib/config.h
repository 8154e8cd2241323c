/* Settings: from environment variables to a struct, driven by a table. */
#pragma once

#include <stddef.h>
#include "lib/must.h"

struct buf;

/* DESIGN. Each service lists its settings once, in its config.def, as rows
 *     SETTING_INT   (field, "NAME", default, min, max, "help")     -> long field
 *     SETTING_TEXT  (field, "NAME", "default", "help")             -> char *field
 *     SETTING_CHOICE(field, "NAME", "default", "a|b|c", "help")    -> int field, the index of the
 * choice SETTING_SECRET(field, "NAME", "default", "help")             -> char *field; also read
 * from the file NAME_FILE The rows make the struct, the table and --help. An empty variable counts
 * as not set where the default is not empty. A variable and its _FILE set together are an error. No
 * value of a secret ever appears in a message. */
enum config_kind { CONFIG_INT, CONFIG_TEXT, CONFIG_CHOICE, CONFIG_SECRET };

struct config_setting {
    const char *name;
    enum config_kind kind;
    size_t offset;        /* of the field in the service's struct */
    const char *fallback; /* the default, as text */
    long min, max;        /* CONFIG_INT */
    const char *choices;  /* CONFIG_CHOICE: "a|b|c" */
    const char *help;
};

/* Fills `config` from the environment. Appends one line for each setting that is wrong (name, what
 * was wrong, what would be right) to `errors` and goes on. Returns how many were wrong. Texts are
 * the struct's: config_done. */
MUST_USE int config_load(const struct config_setting *table, size_t count, void *config,
                         struct buf *errors);
void config_done(const struct config_setting *table, size_t count, void *config);
/* Appends the table as the text of --help. */
void config_help(const struct config_setting *table, size_t count, struct buf *out);
/* The name of choice `index` of "a|b|c", as a string that the caller frees. */
char *config_choice_name(const char *choices, int index);
