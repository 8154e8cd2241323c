/* Growable bytes, and the two escapings that everything we write goes through. */
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/must.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->length = 0;
    if (b->data)
        b->data[0] = '\0';
}

void buf_reserve(struct buf *b, size_t more)
{
    MUST(more < SIZE_MAX / 4 && b->length < SIZE_MAX / 4);
    size_t needed = b->length + more + 1; /* the NUL */
    if (needed <= b->capacity)
        return;
    size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        capacity *= 2;
    b->data = xrealloc(b->data, capacity);
    b->capacity = capacity;
}

void buf_append(struct buf *b, const void *data, size_t length)
{
    buf_reserve(b, length);
    if (length)
        memcpy(b->data + b->length, data, length);
    b->length += length;
    b->data[b->length] = '\0';
}

void buf_puts(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    buf_reserve(b, 64);
    size_t room = b->capacity - b->length;
    va_start(args, format);
    int length = vsnprintf(b->data + b->length, room, format, args);
    va_end(args);
    MUST(length >= 0);
    if ((size_t)length >= room) {
        buf_reserve(b, (size_t)length);
        va_start(args, format);
        vsnprintf(b->data + b->length, (size_t)length + 1, format, args);
        va_end(args);
    }
    b->length += (size_t)length;
}

void buf_put_u64(struct buf *b, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    buf_append(b, digits + at, sizeof(digits) - at);
}

static const char *html_escape(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void buf_put_html(struct buf *b, const char *text, size_t length)
{
    size_t plain = 0; /* start of what needs no escape */
    for (size_t i = 0; i < length; i++) {
        const char *escape = html_escape(text[i]);
        if (!escape)
            continue;
        buf_append(b, text + plain, i - plain);
        buf_puts(b, escape);
        plain = i + 1;
    }
    buf_append(b, text + plain, length - plain);
}

/* The range that a sequence's second byte must lie in: it keeps out overlong forms, surrogates and
 * what is above U+10FFFF (RFC 3629). */
static int second_is_valid(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xE0:
        return second >= 0xA0 && second <= 0xBF;
    case 0xED:
        return second >= 0x80 && second <= 0x9F;
    case 0xF0:
        return second >= 0x90 && second <= 0xBF;
    case 0xF4:
        return second >= 0x80 && second <= 0x8F;
    default:
        return second >= 0x80 && second <= 0xBF;
    }
}

/* How many bytes the UTF-8 sequence at the start of `s` has; 0 when it is none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    size_t length;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        length = 2;
    else if (s[0] >= 0xE0 && s[0] <= 0xEF)
        length = 3;
    else if (s[0] >= 0xF0 && s[0] <= 0xF4)
        length = 4;
    else
        return 0;
    if (length > left || !second_is_valid(s[0], s[1]))
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

static void put_json_escape(struct buf *b, unsigned char c)
{
    static const char named[] = "\b\f\n\r\t\"\\";
    static const char letters[] = "bfnrt\"\\";
    const char *at = c ? strchr(named, c) : NULL;
    if (at)
        buf_append(b, (char[]){'\\', letters[at - named]}, 2);
    else
        buf_printf(b, "\\u%04x", c);
}

void buf_put_json(struct buf *b, const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t plain = 0, i = 0;
    buf_append(b, "\"", 1);
    while (i < length) {
        size_t step = utf8_length(s + i, length - i);
        if (step && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' && s[i] != 0x7F) {
            i += step;
            continue;
        }
        buf_append(b, text + plain, i - plain);
        if (step)
            put_json_escape(b, s[i]);
        else
            buf_puts(b, replacement);
        plain = ++i;
    }
    buf_append(b, text + plain, length - plain);
    buf_append(b, "\"", 1);
}

char *buf_take(struct buf *b, size_t *ret_length)
{
    buf_reserve(b, 0);
    b->data[b->length] = '\0';
    char *data = b->data;
    if (ret_length)
        *ret_length = b->length;
    *b = (struct buf){0};
    return data;
}
