/* Parsers of request header fields: Accept, traceparent, X-Request-Id, prefetch. No I/O. */
#pragma once

#include <stdbool.h>

/* True when application/json has a higher quality than text/html (RFC 9110, 12.5.1), or the same
 * and is named more exactly: scripts send JSON's type and then a wildcard.
 * NULL and garbage: false. */
bool accept_prefers_json(const char *accept);
/* A version 00 traceparent of W3C Trace Context: lower-case hex, no all-zero ids. */
bool traceparent_is_valid(const char *text);
/* 1 to 64 of A-Z a-z 0-9 . _ - */
bool request_id_is_valid(const char *text);
/* The value of Sec-Purpose, Purpose or X-Moz tells of a prefetch or prerender. */
bool purpose_is_prefetch(const char *text);
