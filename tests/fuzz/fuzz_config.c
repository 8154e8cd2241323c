/* Fuzzes both services' settings: any value of any setting, given directly or in a file. */
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "backend/config.h"
#include "frontend/config.h"
#include "lib/buf.h"
#include "lib/must.h"

/* Lines of an index and a value: the index is the setting's in its table. One beyond the table
 * names the settings again, as NAME_FILE. */
enum { LINES_MAX = 16 };

struct table {
    const struct config_setting *rows;
    size_t count;
};

static void set_file(const char *name, const char *value)
{
    char path[64], *variable = xasprintf("%s_FILE", name);
    int fd = memfd_create("secret", 0);
    MUST(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    setenv(variable, path, 1);
    free(variable);
}

/* Descriptors of memfd_create stay until the settings were read. */
static void close_files(int first)
{
    for (int fd = first; fd < first + LINES_MAX; fd++)
        close(fd);
}

static void set_line(const struct table *table, char *line)
{
    size_t at = (unsigned char)line[0] % (2 * table->count);
    const struct config_setting *setting = &table->rows[at % table->count];
    if (at >= table->count && setting->kind == CONFIG_SECRET)
        set_file(setting->name, line + 1);
    else
        setenv(setting->name, line + 1, 1);
}

static void set_all(const struct table *table, char *text)
{
    char *rest = text, *line;
    for (int i = 0; i < LINES_MAX && (line = strsep(&rest, "\n")) != NULL; i++)
        if (line[0] != '\0')
            set_line(table, line);
}

/* As many lines as were counted, and each names a setting. */
static void check_errors(int wrong, const struct buf *errors)
{
    int lines = 0;
    for (size_t i = 0; i < errors->length; i++)
        lines += errors->data[i] == '\n';
    MUST(wrong >= 0 && (wrong == 0) == (errors->length == 0));
    MUST(lines == wrong);
}

static void load_frontend(void)
{
    struct frontend_config config;
    struct buf errors = {0};
    int wrong = frontend_config_load(&config, &errors);
    check_errors(wrong, &errors);
    MUST(config.port >= 1 && config.port <= 65535 && config.workers >= 1);
    MUST(config.environment_name && config.served_by);
    buf_done(&errors);
    frontend_config_done(&config);
}

static void load_backend(void)
{
    struct backend_config config;
    struct buf errors = {0};
    int wrong = backend_config_load(&config, &errors);
    check_errors(wrong, &errors);
    MUST(config.port >= 1 && config.port <= 65535 && config.workers >= 1);
    MUST(wrong > 0 || config.database.host);
    buf_done(&errors);
    backend_config_done(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    bool backend = data[0] & 1;
    struct table table = {.rows = frontend_settings, .count = frontend_settings_count};
    if (backend)
        table = (struct table){.rows = backend_settings, .count = backend_settings_count};
    char *text = fuzz_text(data + 1, size - 1);
    int first = dup(0);
    close(first);
    clearenv();
    set_all(&table, text);
    if (backend)
        load_backend();
    else
        load_frontend();
    close_files(first);
    free(text);
    return 0;
}
