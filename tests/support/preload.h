/* Another wall clock, and names that lead where the test says, for the servers that it starts. */
#pragma once

#include <stdint.h>

/* DESIGN. Libraries are loaded into every process that the test starts from then on (LD_PRELOAD):
 * a clock of our own (tests/chaos/wall_clock.c), and libnss_wrapper for the names. Both can be
 * changed while the servers run, and neither needs root. MariaDB keeps its clock: it waits by
 * deadlines of the wall clock, and the kernel does not know of the shift. */
void preload_clock(void);
/* So far from the true time, at once. */
void preload_clock_shift(int64_t seconds);

#define PRELOAD_REDIS_NAME "redis.tally.test"
#define PRELOAD_BACKEND_NAME "backend.tally.test"

/* Both names lead to this address; from now on, whoever asks. */
void preload_names(const char *address);
