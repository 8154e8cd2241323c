/* What is said to Redis of visits: the script's call, its answer, the keys. Part of visits.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "lib/must.h"
#include "lib/redis.h"

#define VISITS_COUNTER "{tally}:visits"
#define VISITS_RECORD "{tally}:p:" /* and the producer's id */

enum { PRODUCER_BYTES = 16 };

/* Who sends batches, in which order. */
struct producer {
    char record[sizeof VISITS_RECORD + 2 * PRODUCER_BYTES]; /* the key */
    uint64_t seq;                                           /* of the last batch sent; 0: none */
};

/* A new id of 128 random bits, and no batch yet. */
void producer_renew(struct producer *p);

/* What the script answers: the numbers up to `last`, and whether they were counted at an earlier
 * sending, or had to begin above Redis's counter. */
struct visits_answer {
    int64_t last;
    bool remembered, floor_needed;
};

/* The script's text as it is sent; the caller frees it. */
char *visits_script(void);

typedef int redis_send(struct redis *r, redis_on_reply on_reply, void *arg, size_t argc,
                       const char *const *argv, const size_t *lengths);

/* Asks the server to keep the script; `ret_name` gets the name that it is called by. */
enum { SCRIPT_NAME = 40 };
MUST_USE int visits_send_script(struct redis *r, const char *script, redis_on_reply on_reply,
                                void *arg);
MUST_USE bool visits_read_name(const struct redis_value *value, char ret_name[SCRIPT_NAME + 1]);

struct visits_call {
    const char *script; /* its text; NULL: the server has it */
    const char *name;   /* what the server calls it then */
    const struct producer *producer;
    uint64_t n; /* 0: greets */
    int64_t floor;
};

/* `send` is redis_call or redis_greet; its result. */
MUST_USE int visits_send(struct redis *r, redis_send *send, const struct visits_call *call,
                         redis_on_reply on_reply, void *arg);
/* false: not what the script answers to a batch of n. */
MUST_USE bool visits_read_answer(const struct redis_value *value, uint64_t n,
                                 struct visits_answer *ret_answer);
/* The script's way to say that a later batch of this producer was counted already. */
bool visits_is_stale(const struct redis_value *value);
/* The counter as GET answers it; an absent one is 0. false: no number. */
MUST_USE bool visits_read_total(const struct redis_value *value, int64_t *ret_total);
