/* A play of disaster: a whole Tally under load, things that go wrong, and one verdict at the end.
 */
#pragma once

#include <stdbool.h>
#include "tests/support/load.h"
#include "tests/support/proxy.h"
#include "tests/support/stack.h"

/* DESIGN. Visitors ask without pause from chaos_begin to chaos_end. The verdict is the same for
 * every play: no number came twice; none is above the counter; every answered visit was counted; no
 * answer came later than the deadline and a tenth; no request went unanswered, unless the frontend
 * itself was the victim; the services still run, hold no more descriptors and hardly more memory
 * than before, and leave with 0. How late the machine itself was (a thread looks every few
 * milliseconds) is added to the limits: what a shared machine does is no fault of the service.
 * CHAOS_SEED makes the moments the same again, CHAOS_SECONDS says how long it all may take, and
 * CHAOS_PATIENCE multiplies every limit of time, and no other. */
enum { CHAOS_DEADLINE_MS = 1000, CHAOS_RECOVERY_MS = 2000 };

struct chaos_options {
    unsigned parts;              /* of the stack */
    unsigned workers;            /* of each service */
    bool through_proxy;          /* the frontends reach Redis and the backend through proxies */
    bool by_name;                /* and by the names of preload_names */
    bool front_suffers;          /* what visitors talk to is the victim: they may be lost */
    bool all_whole;              /* every request must be answered with a number and users */
    const char *const *more_env; /* of the frontends, at most 8; NULL-ended, or NULL */
    unsigned connections;        /* of visitors; 0: 24 */
    unsigned pause_ms;           /* of each visitor; 0: 4 */
    int more_statuses[4];        /* of answers that are fit besides 200 and 503 */
    unsigned crowd;              /* of silent clients that come and go before the play begins */
};

struct chaos {
    struct chaos_options options;
    struct stack *stack;
    struct proxy *redis, *backend;   /* NULL without through_proxy */
    struct load *load;               /* of the visitors, asking for JSON */
    struct load *more_loads[8];      /* NULL-ended */
    unsigned long long begun_ms;     /* the records' zero_ms */
    unsigned long long ends_ms;      /* of the play */
    unsigned long long slowest_back; /* recovery, ms */
    unsigned rounds;
    struct lateness *lateness;
    struct chaos_service { /* a service as it was before */
        struct process *process;
        pid_t pid;
        unsigned descriptors;
        unsigned long rss_kib;
    } before[FRONTENDS + 1];
    char *env[12];
};

/* Starts the stack, warms it up, begins the load. */
struct chaos *chaos_begin(const struct chaos_options *options);
/* The verdict: what came of all requests, and then what is to be said of it. */
void chaos_end(struct chaos *c);
struct load_result chaos_collect(struct chaos *c);
void chaos_judge(struct chaos *c, struct load_result *r);

/* More visitors, of another sort, until the end; the first port is where the others ask, unless the
 * options name one. */
void chaos_add_load(struct chaos *c, const struct load_options *options);
/* False once the play has lasted long enough, and has recovered twice. */
bool chaos_goes_on(struct chaos *c);
/* From 0 to limit - 1, from the seed. */
unsigned chaos_random(unsigned limit);
/* Lets some time pass, between the two. */
void chaos_pass(unsigned least_ms, unsigned most_ms);
/* From now: within two seconds (four through NGINX) a visit is counted; and, where there is a
 * backend, a page shows users. Else the test fails. */
void chaos_must_recover(struct chaos *c);
/* A part of the stack (STACK_REDIS, ...) is killed by SIGKILL, or leaves by SIGTERM and with 0; up
 * to so long after that it starts again. Or it stands still (SIGSTOP) for a while. */
void chaos_kill(struct chaos *c, unsigned part, unsigned most_ms);
void chaos_replace(struct chaos *c, unsigned part, unsigned most_ms);
void chaos_freeze(struct chaos *c, unsigned part, unsigned least_ms, unsigned most_ms);
/* A limit of time as CHAOS_PATIENCE has it. */
unsigned chaos_patient_ms(unsigned ms);
/* CHAOS_SECONDS, or 60. */
unsigned chaos_seconds(void);
