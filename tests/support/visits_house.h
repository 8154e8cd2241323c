/* A visit counter, its guests and a scripted Redis on one loop: the stage of the counter's tests.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>
#include "frontend/visits.h"
#include "lib/batch.h"
#include "lib/url.h"
#include "tests/support/fake_redis.h"

struct fake_server;
struct metrics;

enum { HOUSE_TIMEOUT_MS = 300, HOUSE_GUESTS = 8, HOUSE_MAX_WAITING = 6 };

/* What the fake expects: a call of the script with these seq, n and floor, by the name that the
 * fake gave it; and a greeting, with the script's text. */
#define EVAL(numbers) "EVALSHA " FAKE_SCRIPT " 2 {tally}:visits {tally}:p:* " numbers
#define GREETING(numbers) "EVAL <* bytes> 2 {tally}:visits {tally}:p:* " numbers

struct house_guest {
    struct batch_waiter waiter;
    unsigned calls; /* of on_done */
    int status;
    int64_t number; /* the visitor's own, or the total */
};

struct visits_house {
    uv_loop_t loop;
    uv_prepare_t turn; /* flushes */
    struct fake_server *server;
    struct url url;
    struct metrics *metrics;
    struct visits *visits; /* NULL: freed */
    _Atomic int64_t floor_seen;
    struct house_guest guests[HOUSE_GUESTS];
};

extern struct visits_house house;

/* Fixtures: the loop and the server; everything closed and nothing left. */
void house_begin(void);
void house_end(void);

void house_start(void);
/* Starts and waits until Redis is up. */
void house_start_up(void);

/* A guest asks for a number, or for the total; the result of the join. */
int house_join(int guest);
int house_join_total(int guest);
void house_join_all(int first, int last);
void house_wait_for(int guest);
void assert_number(int guest, int64_t number);
void assert_failed(int guest, int status);
