/* The pool of blocking connections. It never waits on the loop's thread. */
#include "backend/pool.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "backend/metrics.h"
#include "backend/store.h"
#include "lib/mem.h"
#include "lib/metrics.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_LAST_MS = 1600 };

struct pool_slot {
    TAILQ_ENTRY(pool_slot) link; /* in the free list */
    uv_work_t work;
    struct pool *pool;
    struct store *store; /* NULL: not connected */
    struct pool_job *job;
    int status;
    bool connect_failed, was_stale; /* of the last job */
    char reason[STORE_REASON];
};

struct pool {
    struct pool_options options;
    TAILQ_HEAD(pool_list, pool_slot) free; /* connected ones first */
    unsigned busy;
    uint64_t retry_at_ms;
    uint64_t backoff_ms; /* 0: the last connect succeeded */
    bool leaving;        /* freed by its owner, waits for busy slots */
    unsigned seed;       /* of the jitter */
    struct pool_slot slots[];
};

static int slot_connect(struct pool_slot *slot)
{
    struct store_options o = {.database = slot->pool->options.database,
                              .timeout_s = slot->pool->options.timeout_s};
    int status = store_open(&o, &slot->store, slot->reason);
    slot->connect_failed = status != 0;
    return status;
}

static void slot_disconnect(struct pool_slot *slot)
{
    store_close(slot->store);
    slot->store = NULL;
}

static int slot_run(struct pool_slot *slot)
{
    int status = slot->job->run(slot->job, slot->store, slot->reason);
    if (status == UV_ECONNRESET)
        slot_disconnect(slot);
    return status;
}

/* A dead connection says so at once; one that took its time has used up what the visitor had. */
static bool died_idle(const struct pool_slot *slot, uint64_t since_ns)
{
    return !slot->store && uv_hrtime() - since_ns < slot->pool->options.timeout_s * 500000000ULL;
}

static int slot_run_pooled(struct pool_slot *slot)
{
    uint64_t since_ns = uv_hrtime();
    int status = slot_run(slot);
    if (status != UV_ECONNRESET || !died_idle(slot, since_ns))
        return status;
    slot->was_stale = true;
    status = slot_connect(slot);
    return status ? status : slot_run(slot);
}

/* libuv tells nobody when one of its threads ends: the library's memory of the thread is made and
 * freed each time. */
static void on_thread(uv_work_t *work)
{
    struct pool_slot *slot = CONTAINER_OF(work, struct pool_slot, work);
    slot->connect_failed = slot->was_stale = false;
    slot->reason[0] = '\0';
    store_thread_init();
    if (slot->store) {
        slot->status = slot_run_pooled(slot);
    } else {
        slot->status = slot_connect(slot);
        if (slot->status == 0)
            slot->status = slot_run(slot);
    }
    store_thread_done();
}

/* Half of the delay is fixed, half is chance: workers do not return in step. */
static void back_off(struct pool *p)
{
    p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (p->backoff_ms > BACKOFF_LAST_MS)
        p->backoff_ms = BACKOFF_LAST_MS;
    uint64_t half = p->backoff_ms / 2;
    p->retry_at_ms = uv_now(p->options.loop) + half + (uint64_t)rand_r(&p->seed) % (half + 1);
}

static void slot_release(struct pool_slot *slot)
{
    struct pool *p = slot->pool;
    p->busy--;
    if (p->leaving)
        slot_disconnect(slot);
    if (slot->store)
        TAILQ_INSERT_HEAD(&p->free, slot, link);
    else
        TAILQ_INSERT_TAIL(&p->free, slot, link);
}

static void after_thread(uv_work_t *work, int cancelled)
{
    struct pool_slot *slot = CONTAINER_OF(work, struct pool_slot, work);
    struct pool *p = slot->pool;
    struct pool_job *job = slot->job;
    MUST(cancelled == 0);
    if (slot->connect_failed)
        back_off(p);
    else if (slot->status == 0)
        p->backoff_ms = p->retry_at_ms = 0;
    if (slot->was_stale && !p->leaving)
        metrics_add(p->options.metrics, DATABASE_STALE, 1);
    slot_release(slot);
    job->on_done(job, slot->status, slot->reason);
    if (p->leaving && p->busy == 0)
        free(p);
}

struct pool *pool_new(const struct pool_options *options)
{
    struct pool *p = xcalloc(1, sizeof *p + options->size * sizeof *p->slots);
    MUST(options->size > 0);
    p->options = *options;
    p->seed = (unsigned)uv_hrtime();
    TAILQ_INIT(&p->free);
    for (unsigned i = 0; i < options->size; i++) {
        p->slots[i].pool = p;
        TAILQ_INSERT_TAIL(&p->free, &p->slots[i], link);
    }
    return p;
}

void pool_free(struct pool *p)
{
    struct pool_slot *slot;
    if (!p)
        return;
    p->leaving = true;
    TAILQ_FOREACH(slot, &p->free, link)
    {
        slot_disconnect(slot);
    }
    if (p->busy == 0)
        free(p);
}

int pool_check(const struct pool *p)
{
    const struct pool_slot *slot = TAILQ_FIRST(&p->free);
    if (!slot)
        return UV_EBUSY;
    if (!slot->store && uv_now(p->options.loop) < p->retry_at_ms)
        return UV_ENOTCONN;
    return 0;
}

int pool_run(struct pool *p, struct pool_job *job)
{
    int status = pool_check(p);
    if (status)
        return status;
    struct pool_slot *slot = TAILQ_FIRST(&p->free);
    TAILQ_REMOVE(&p->free, slot, link);
    p->busy++;
    slot->job = job;
    MUST(uv_queue_work(p->options.loop, &slot->work, on_thread, after_thread) == 0);
    return 0;
}

uint64_t pool_retry_at_ms(const struct pool *p)
{
    return p->retry_at_ms;
}

unsigned pool_busy(const struct pool *p)
{
    return p->busy;
}
