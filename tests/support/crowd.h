/* Clients with bad manners, in a thread of their own: slow ones, and ones that vanish. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "tests/support/load.h"

/* DESIGN. A slow client sends a byte at every tick and then waits for its answer, which is recorded
 * as a load records it: its visit counts like any other. At every VANISH_EVERY th tick one more
 * client comes, sends a part of a request or all of it, and is gone. */
struct crowd_options {
    int port[2]; /* clients take turns */
    unsigned slow;
    uint8_t kind; /* of the records */
    unsigned long long zero_ms;
    unsigned random; /* what the vanishing do depends on it */
};

struct crowd;

struct crowd *crowd_start(const struct crowd_options *options);
/* Ends it; the records are the caller's: load_merge or load_done. */
struct load_result crowd_stop(struct crowd *crowd);

/* One client that vanishes: before the end of its request or right behind it, by an end or by a
 * reset. False when there was no connection. */
bool crowd_vanish(int port, unsigned random);
