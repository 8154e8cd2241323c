/* Settings: from environment variables to a struct, driven by a table. */
#pragma once

#include <stddef.h>
#include "lib/must.h"

struct buf;

/* DESIGN. Each service lists its settings once, in its config.def. A row is one of
 *
 *     SETTING_INT   (field, "NAME", "default", min, max, "help")   long field
 *     SETTING_TEXT  (field, "NAME", "default", "help")             char *field
 *     SETTING_CHOICE(field, "NAME", "default", "a|b|c", "help")    int field, the choice's index
 *     SETTING_SECRET(field, "NAME", "default", "help")             char *field, also from NAME_FILE
 *
 * The rows make the struct, the table and --help:
 *
 *     struct frontend_config {                          // frontend/config.h
 *     #include "lib/config_fields.h"
 *     #include "frontend/config.def"
 *     };
 *
 *     #define CONFIG_STRUCT struct frontend_config      // frontend/config.c
 *     #include "lib/config_rows.h"
 *     const struct config_setting frontend_settings[] = {
 *     #include "frontend/config.def"
 *     };
 *
 * An empty variable is an empty text; in a number, a choice or a secret it counts as not set.
 * NAME_FILE names a file that holds the secret, with or without a newline at its end. A secret and
 * its NAME_FILE set together are an error. No value of a secret ever stands in a message, nor that
 * of NAME_FILE, where it might have been put by mistake. */
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
 * was wrong, what would be right) to `errors` and goes on with the default. Returns how many were
 * wrong. Texts are the struct's: call config_done, also when some were wrong. */
MUST_USE int config_load(const struct config_setting *table, size_t count, void *config,
                         struct buf *errors);
void config_done(const struct config_setting *table, size_t count, void *config);
/* Appends the table as the text of --help. */
void config_help(const struct config_setting *table, size_t count, struct buf *out);
/* The name of choice `index` of "a|b|c", as a string that the caller frees. */
char *config_choice_name(const char *choices, int index);
