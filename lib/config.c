/* Settings: from environment variables to a struct, driven by a table. */
#include "lib/config.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_MAX = 64 * 1024, QUOTE_MAX = 60 };

static void *field_of(const struct config_setting *s, void *config)
{
    return (char *)config + s->offset;
}

static void put_quoted(struct buf *out, const char *text)
{
    buf_put_json(out, text, strnlen(text, QUOTE_MAX));
}

/* "a|b|c" as: a, b or c */
static void put_choices(struct buf *out, const char *choices)
{
    for (const char *c = choices; *c; c++) {
        if (*c != '|')
            buf_append(out, c, 1);
        else
            buf_puts(out, strchr(c + 1, '|') ? ", " : " or ");
    }
}

/* A plain decimal number: no space, no plus sign, nothing after it. */
static bool parse_int(const char *text, long *ret_number)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || digits[count] != '\0')
        return false;
    errno = 0;
    long number = strtol(text, NULL, 10);
    if (errno)
        return false;
    *ret_number = number;
    return true;
}

static bool set_int(const struct config_setting *s, const char *text, long *field)
{
    long number;
    if (!parse_int(text, &number) || number < s->min || number > s->max)
        return false;
    *field = number;
    return true;
}

static bool set_choice(const struct config_setting *s, const char *text, int *field)
{
    size_t length = strlen(text);
    const char *choice = s->choices;
    for (int i = 0;; i++) {
        size_t choice_length = strcspn(choice, "|");
        if (length == choice_length && memcmp(choice, text, length) == 0) {
            *field = i;
            return true;
        }
        if (!choice[choice_length])
            return false;
        choice += choice_length + 1;
    }
}

static void set_text(const char *text, char **field)
{
    free(*field);
    *field = xstrdup(text);
}

/* False when the text is no value of this setting; then the field stays as it is. */
static bool set_value(const struct config_setting *s, const char *text, void *config)
{
    void *field = field_of(s, config);
    switch (s->kind) {
    case CONFIG_INT:
        return set_int(s, text, field);
    case CONFIG_CHOICE:
        return set_choice(s, text, field);
    case CONFIG_TEXT:
    case CONFIG_SECRET:
        set_text(text, field);
        return true;
    }
    NEVER("a setting has one of the four kinds");
}

static void put_wrong(const struct config_setting *s, const char *text, struct buf *errors)
{
    buf_printf(errors, "%s: must be ", s->name);
    if (s->kind == CONFIG_INT)
        buf_printf(errors, "a whole number from %ld to %ld", s->min, s->max);
    else
        put_choices(errors, s->choices);
    buf_puts(errors, ", is ");
    put_quoted(errors, text);
    buf_puts(errors, "\n");
}

/* NULL, or why the file's content cannot be a secret. */
static const char *check_secret(const struct buf *content)
{
    if (content->length > SECRET_MAX)
        return "is larger than 64 KiB";
    if (content->length == 0)
        return "is empty";
    return memchr(content->data, '\0', content->length) ? "holds a NUL byte" : NULL;
}

/* Reads one byte more than is allowed, so that too much is noticed. */
static const char *read_all(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return strerror(errno);
    buf_reserve(out, SECRET_MAX + 2);
    out->length = fread(out->data, 1, SECRET_MAX + 2, file);
    const char *reason = ferror(file) ? strerror(errno) : NULL;
    fclose(file);
    if (out->length && out->data[out->length - 1] == '\n')
        out->length--;
    out->data[out->length] = '\0';
    return reason;
}

static bool load_file(const struct config_setting *s, const char *path, void *config,
                      struct buf *errors)
{
    struct buf content = {0};
    const char *reason = read_all(path, &content);
    const char *fault = reason ? "cannot be read" : check_secret(&content);
    if (fault)
        buf_printf(errors, "%s_FILE: the file %s%s%s\n", s->name, fault, reason ? ": " : "",
                   reason ? reason : "");
    else
        MUST(set_value(s, content.data, config));
    buf_done(&content);
    return !fault;
}

/* The variable's value; NULL where it counts as not set. */
static const char *variable(const struct config_setting *s)
{
    const char *value = getenv(s->name);
    return value && (*value || s->kind == CONFIG_TEXT) ? value : NULL;
}

/* The path in NAME_FILE, or NULL. */
static const char *secret_file(const struct config_setting *s)
{
    if (s->kind != CONFIG_SECRET)
        return NULL;
    char *name = xasprintf("%s_FILE", s->name);
    const char *path = getenv(name);
    free(name);
    return path && *path ? path : NULL;
}

static bool load_one(const struct config_setting *s, void *config, struct buf *errors)
{
    const char *value = variable(s);
    const char *path = secret_file(s);
    if (value && path) {
        buf_printf(errors, "%s: set either it or %s_FILE, not both\n", s->name, s->name);
        return false;
    }
    if (path)
        return load_file(s, path, config, errors);
    if (!value || set_value(s, value, config))
        return true;
    put_wrong(s, value, errors);
    return false;
}

int config_load(const struct config_setting *table, size_t count, void *config, struct buf *errors)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const struct config_setting *s = &table[i];
        if (s->kind == CONFIG_TEXT || s->kind == CONFIG_SECRET)
            *(char **)field_of(s, config) = NULL;
        MUST(set_value(s, s->fallback, config));
        if (!load_one(s, config, errors))
            wrong++;
    }
    return wrong;
}

void config_done(const struct config_setting *table, size_t count, void *config)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].kind != CONFIG_TEXT && table[i].kind != CONFIG_SECRET)
            continue;
        char **field = field_of(&table[i], config);
        free(*field);
        *field = NULL;
    }
}

void config_help(const struct config_setting *table, size_t count, struct buf *out)
{
    for (const struct config_setting *s = table; s < table + count; s++) {
        buf_printf(out, "  %s=%s\n      %s", s->name, s->fallback, s->help);
        if (s->kind == CONFIG_INT)
            buf_printf(out, " (%ld to %ld)", s->min, s->max);
        if (s->kind == CONFIG_CHOICE) {
            buf_puts(out, " (");
            put_choices(out, s->choices);
            buf_puts(out, ")");
        }
        if (s->kind == CONFIG_SECRET)
            buf_printf(out, " (or %s_FILE: a file that holds it)", s->name);
        buf_puts(out, "\n");
    }
}

char *config_choice_name(const char *choices, int index)
{
    for (; index > 0; index--) {
        choices += strcspn(choices, "|");
        MUST(*choices == '|');
        choices++;
    }
    return xstrndup(choices, strcspn(choices, "|"));
}
