/* How late the machine is: what it does to the sleep of a thread it does to the services too. */
#include "tests/support/lateness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include "lib/mem.h"
#include "lib/must.h"
#include "tests/support/net.h"

enum { LOOK_EVERY_MS = 5 };

struct lateness {
    pthread_t thread;
    atomic_bool over;
    atomic_uint worst_ms;
};

static void *run(void *arg)
{
    struct lateness *l = arg;
    while (!atomic_load(&l->over)) {
        unsigned long long start = now_ms();
        pause_ms(LOOK_EVERY_MS);
        unsigned late = (unsigned)(now_ms() - start) - LOOK_EVERY_MS;
        if (late > atomic_load(&l->worst_ms))
            atomic_store(&l->worst_ms, late);
    }
    return NULL;
}

struct lateness *lateness_start(void)
{
    struct lateness *l = xcalloc(1, sizeof *l);
    MUST(pthread_create(&l->thread, NULL, run, l) == 0);
    return l;
}

unsigned lateness_worst_ms(const struct lateness *l)
{
    return atomic_load(&l->worst_ms);
}

unsigned lateness_stop(struct lateness *l)
{
    atomic_store(&l->over, true);
    pthread_join(l->thread, NULL);
    unsigned worst_ms = lateness_worst_ms(l);
    free(l);
    return worst_ms;
}
