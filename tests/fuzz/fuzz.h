/* What the fuzzing targets have in common: libFuzzer's entry, and the input as text. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "lib/mem.h"

/* DESIGN. Each target is a program with libFuzzer's main: scripts/fuzz runs it on its corpus, and
 * `build/fuzz/tests/fuzz/fuzz_url FILE` repeats a crash. A finding is a crash, a sanitizer's
 * report, a MUST that does not hold, a leak, or an input that takes longer than its deadline. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input in a block of its own size, NUL-terminated, so that a read beyond its end is seen; the
 * caller frees it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = xmalloc(size + 1);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}
