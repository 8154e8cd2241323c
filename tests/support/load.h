/* Many visitors at once, on keep-alive connections, in a thread of their own; usable across a
 * fault. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DESIGN. Each connection has one request outstanding at any time and asks again as soon as it was
 * answered. After an error or a 503 it waits a moment, and after an error it connects anew. What
 * became of each request is recorded; the test looks at the records after load_finish. */
enum load_end {
    LOAD_ANSWERED,     /* a whole answer came, of whatever status */
    LOAD_REFUSED,      /* no connection */
    LOAD_RESET_FRESH,  /* ended before any byte came, first request of its connection */
    LOAD_RESET_BEFORE, /* the same on a connection that had been answered on */
    LOAD_RESET_MIDDLE, /* ended within an answer */
    LOAD_TIMED_OUT,
    LOAD_ENDS
};

struct load_record {
    uint64_t number; /* the visitor's number in the answer; 0: none */
    uint32_t took_us;
    uint32_t at_ms;  /* when it ended, after the load's `zero_ms` */
    uint16_t status; /* 0 unless LOAD_ANSWERED */
    uint8_t end;     /* enum load_end */
    uint8_t kind;    /* as the load's options say */
    bool users;      /* the answer listed users */
    bool is_total;   /* the number is the counter, and nobody's own */
};

struct load_options {
    int port[2];          /* the second may be 0; connections take turns */
    unsigned connections; /* 0: 64 */
    size_t requests;      /* ends after so many; 0: without end */
    size_t visits;        /* ends after so many answers with a number; 0: without end */
    const char *path;     /* NULL: "/" */
    const char *fields;   /* more header lines, each with CRLF; NULL: Accept: application/json */
    unsigned timeout_ms;  /* of a request; 0: 10 s */
    unsigned pause_ms;    /* of each connection after each answer; 0: none */
    const char *method;   /* NULL: GET */
    bool asks_total;      /* what it asks for counts nothing: a number is the counter */
    uint8_t kind;         /* whatever the test wants to know its records by */
    unsigned long long zero_ms; /* now_ms() from which the records' at_ms count */
};

struct load;

struct load *load_start(const struct load_options *options);
/* Waits until `more` further answers with a number have come; else the test fails. */
void load_wait_visits(struct load *load, size_t more, unsigned deadline_ms);
/* Waits until `more` further requests have ended in whatever way. */
void load_wait_requests(struct load *load, size_t more, unsigned deadline_ms);
/* No request is begun any more. */
void load_stop(struct load *load);

struct load_result {
    struct load_record *records;
    size_t count;
    size_t ended[LOAD_ENDS];
    size_t visits;       /* answers with a number */
    uint64_t highest;    /* of the numbers */
    uint32_t slowest_us; /* of the answered */
};

/* Waits for the end, and frees the load; the result's records are the caller's: load_done. */
struct load_result load_finish(struct load *load, unsigned deadline_ms);
/* What the result says of its records. */
void load_sum_up(struct load_result *result);
void load_done(struct load_result *result);

/* Adds the records of the second to the first, and frees the second. */
void load_merge(struct load_result *into, struct load_result *more);
size_t load_count_status(const struct load_result *r, int status);
/* Fails the test unless no number came twice. */
void load_must_be_unique(const struct load_result *r);
/* Fails the test unless the numbers are exactly first … first + visits - 1. */
void load_must_be_exactly(const struct load_result *r, uint64_t first);
/* Fails the test unless every request was answered. */
void load_must_be_answered(const struct load_result *r);
/* `full`, or less where TALLY_LOAD_SCALE (a fraction) says so; at least 200. */
size_t load_scale(size_t full);
