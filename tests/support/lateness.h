/* How late the machine is: what it does to the sleep of a thread it does to the services too. */
#pragma once

struct lateness;

struct lateness *lateness_start(void);
/* By how many milliseconds the thread was woken too late, at the worst, so far. */
unsigned lateness_worst_ms(const struct lateness *l);
/* Ends it; the worst of all the time. */
unsigned lateness_stop(struct lateness *l);
