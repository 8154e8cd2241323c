/* Allocate or die. */
#include "lib/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Out of memory is not handled: nothing that could be done here would be tested or would help. */
static void *or_die(void *memory)
{
    if (!memory) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

/* An empty allocation may be NULL, which is no failure: ask for one byte instead. */
static size_t at_least_one(size_t size)
{
    return size ? size : 1;
}

void *xcalloc(size_t count, size_t size)
{
    return or_die(calloc(at_least_one(count), at_least_one(size)));
}

void *xmalloc(size_t size)
{
    return or_die(malloc(at_least_one(size)));
}

void *xrealloc(void *old, size_t size)
{
    return or_die(realloc(old, at_least_one(size)));
}

char *xstrdup(const char *text)
{
    return or_die(strdup(text));
}

char *xstrndup(const char *text, size_t length)
{
    return or_die(strndup(text, length));
}

char *xasprintf(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return or_die(length < 0 ? NULL : text);
}
