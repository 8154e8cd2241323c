/* Growable bytes: text is appended, never truncated. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* All zero is an empty buffer. data is NUL-terminated once anything was appended. */
struct buf {
    char *data;
    size_t length;
    size_t capacity;
};

void buf_done(struct buf *b);                 /* frees the bytes; the buffer is empty again */
void buf_clear(struct buf *b);                /* forgets the bytes, keeps the memory */
void buf_reserve(struct buf *b, size_t more); /* room for `more` bytes without another allocation */
void buf_append(struct buf *b, const void *data, size_t length);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_put_u64(struct buf *b, uint64_t number);
/* Text between HTML tags or in a double-quoted attribute: & < > " ' are escaped. */
void buf_put_html(struct buf *b, const char *text, size_t length);
/* A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void buf_put_json(struct buf *b, const char *text, size_t length);
/* Hands the bytes over; the caller frees them. The buffer is empty again. Never NULL. */
char *buf_take(struct buf *b, size_t *ret_length);
