/* One blocking HTTP request of a test, and what was answered. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The last 16 answers stay valid; nobody frees them. */
struct answer {
    int status;    /* 0: the connection ended, or could not be made, before a whole head came */
    char *head;    /* status line and header fields */
    char *body;    /* NUL-terminated */
    size_t length; /* of the body */
    bool whole;    /* the body is as long as Content-Length says */
    unsigned took_ms;
};

/* GET of path on 127.0.0.1:port. `fields` are more header lines, each with its CRLF, or "". */
const struct answer *ask_get(int port, const char *path, const char *fields);
const struct answer *ask_method(int port, const char *method, const char *path, const char *fields);
/* Exactly these bytes on a new connection; reads one answer. */
const struct answer *ask_raw(int port, const char *bytes, size_t length);
/* The same on a connection that the caller keeps (net_connect). */
const struct answer *ask_on(int fd, const char *bytes, size_t length, bool head_only);

/* Asks again until the answer has this status; the deadline fails the test. */
const struct answer *ask_until(int port, const char *path, const char *fields, int status);
/* Asks again until the body holds this text. */
const struct answer *ask_until_text(int port, const char *path, const char *fields,
                                    const char *text);

/* The value of a header field, or NULL; valid until the next call. */
const char *answer_field(const struct answer *a, const char *name);
/* The visitor's number in a page ("counter") or in JSON ("visitor", "total"); 0 when none. */
uint64_t answer_number(const struct answer *a);
uint64_t number_in(const char *body);

/* The value of a series in Prometheus text: name and labels as written, {} left out when empty; -1
 * when it is not there. metric_sum adds up all series that begin so. */
double metric_value(const char *text, const char *series);
double metric_sum(const char *text, const char *prefix);
