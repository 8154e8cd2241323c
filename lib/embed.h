/* EMBED: the bytes of a file, put into the program when it is built. */
#pragma once

#include <stddef.h>

/* At file scope, EMBED(page_html, "frontend/page.html") makes `page_html`, the file's bytes with a
 * NUL behind them, and `page_html_end`, which points at that NUL. The path is relative to where the
 * compiler runs: the project's root. The compiler reports no such file to make: name it as a
 * prerequisite of the object in the Makefile. */
#define EMBED(name, path)                                                                          \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global " #name "\n" #name ":\n"                                                      \
            ".incbin \"" path "\"\n"                                                               \
            ".global " #name "_end\n" #name "_end:\n"                                              \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char name[], name##_end[]

#define EMBED_LENGTH(name) ((size_t)(name##_end - name))
