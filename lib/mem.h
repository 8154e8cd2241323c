/* Allocate or die: memory that cannot be had ends the process with a message. */
#pragma once

#include <stddef.h>

/* Zeroed memory; freed by free(). */
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *old, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
/* At most `length` bytes of `text`, and a NUL. */
char *xstrndup(const char *text, size_t length) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

/* The struct of type `type` whose member `member` `pointer` points to. (Versions of clang-format
 * differ about the minus.) */
/* clang-format off */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))
/* clang-format on */
