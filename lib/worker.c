/* Worker threads with one loop each: start together, the loop turn, leave together.
 *
 * DESIGN. Workers start behind a barrier, so that none serves (or is asked to add up metrics)
 * before all have their state. They leave together too: one that is drained and settled says so and
 * goes on serving until all are, and only then, behind a second barrier, does anyone free anything:
 * until that moment a scrape on one worker may read the others. The main thread waits for the
 * signal and wakes each worker with uv_async_send, the one call across threads. A second signal
 * changes nothing: it stays pending, blocked for the rest of the process. */
#include "lib/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "lib/http.h"
#include "lib/listen.h"
#include "lib/mem.h"

enum { LEAVING_TICK_MS = 5 };

/* How far a worker is on its way out. */
enum worker_phase {
    WORKER_SERVING,  /* no signal yet */
    WORKER_DRAINING, /* answers carry Connection: close; still accepting, for drain_delay_ms */
    WORKER_ENDING,   /* not accepting; requests end, for at most drain_timeout_ms */
    WORKER_SETTLING, /* the service's batches end, within the rest of drain_timeout_ms */
    WORKER_SETTLED,  /* waits for the other workers, still serving */
    WORKER_LEFT      /* handles are closing */
};

struct crew {
    const struct worker_options *options; /* borrowed */
    struct worker **workers;
    int listen_fd;
    pthread_barrier_t started; /* workers and main: all have tried to start */
    pthread_barrier_t settled; /* workers: all are settled */
    atomic_bool failed, draining;
    atomic_uint settled_count;
};

struct worker {
    struct crew *crew; /* borrowed */
    unsigned index;
    pthread_t thread;
    enum worker_phase phase; /* changed by enter() only */
    uint64_t phase_ms;       /* when it was entered */
    uint64_t ending_ms;      /* when WORKER_ENDING was entered */
    uv_loop_t loop;
    uv_prepare_t turn;
    uv_async_t signal;
    uv_timer_t tick; /* runs while leaving */
    struct http *http;
    void *state;
    int error; /* why it could not start */
};

static void enter(struct worker *w, enum worker_phase phase)
{
    w->phase = phase;
    w->phase_ms = uv_now(&w->loop);
}

static uint64_t elapsed_ms(const struct worker *w, uint64_t since_ms)
{
    return uv_now(&w->loop) - since_ms;
}

static void leave(struct worker *w)
{
    const struct worker_hooks *hooks = w->crew->options->hooks;
    pthread_barrier_wait(&w->crew->settled);
    enter(w, WORKER_LEFT);
    uv_close((uv_handle_t *)&w->turn, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
    http_free(w->http);
    w->http = NULL;
    if (hooks->on_stop)
        hooks->on_stop(w->state);
}

static bool has_settled(struct worker *w)
{
    const struct worker_options *options = w->crew->options;
    return !options->hooks->on_settle || options->hooks->on_settle(w->state) ||
           elapsed_ms(w, w->ending_ms) >= options->drain_timeout_ms;
}

/* One look at whether the present phase of leaving is over; each turn may end several. */
static void advance(struct worker *w)
{
    const struct worker_options *options = w->crew->options;
    if (w->phase == WORKER_DRAINING && elapsed_ms(w, w->phase_ms) >= options->drain_delay_ms) {
        http_quiesce(w->http);
        enter(w, WORKER_ENDING);
        w->ending_ms = w->phase_ms;
        return; /* those from the accept queue get their turn first */
    }
    if (w->phase == WORKER_ENDING &&
        (http_is_idle(w->http) || elapsed_ms(w, w->ending_ms) >= options->drain_timeout_ms))
        enter(w, WORKER_SETTLING);
    if (w->phase == WORKER_SETTLING && has_settled(w)) {
        enter(w, WORKER_SETTLED);
        atomic_fetch_add(&w->crew->settled_count, 1);
    }
    if (w->phase == WORKER_SETTLED && atomic_load(&w->crew->settled_count) == options->workers)
        leave(w);
}

static void on_turn(uv_prepare_t *prepare)
{
    struct worker *w = prepare->data;
    const struct worker_hooks *hooks = w->crew->options->hooks;
    http_run(w->http);
    if (hooks->on_turn)
        hooks->on_turn(w->state);
    if (w->phase != WORKER_SERVING)
        advance(w);
    if (w->phase != WORKER_LEFT)
        http_arm(w->http);
}

static void on_tick(uv_timer_t *tick)
{
    (void)tick; /* it only makes the loop turn */
}

static void on_signal(uv_async_t *async)
{
    struct worker *w = async->data;
    http_drain(w->http);
    enter(w, WORKER_DRAINING);
    uv_close((uv_handle_t *)async, NULL);
    uv_timer_start(&w->tick, on_tick, 0, LEAVING_TICK_MS);
}

static void start_handles(struct worker *w)
{
    MUST(uv_loop_init(&w->loop) == 0);
    MUST(uv_prepare_init(&w->loop, &w->turn) == 0);
    MUST(uv_async_init(&w->loop, &w->signal, on_signal) == 0);
    MUST(uv_timer_init(&w->loop, &w->tick) == 0);
    w->turn.data = w->signal.data = w->tick.data = w;
    MUST(uv_prepare_start(&w->turn, on_turn) == 0);
}

static unsigned share_of_connections(const struct worker_options *options)
{
    unsigned share = options->max_connections / options->workers;
    return share > 0 ? share : 1;
}

static int start_service(struct worker *w)
{
    const struct worker_options *options = w->crew->options;
    struct http_options http = {
        .loop = &w->loop,
        .listen_fd = w->crew->listen_fd,
        .max_connections = share_of_connections(options),
        .connection_timeout_s = options->connection_timeout_s,
        .park_after_ms = HTTP_PARK_AFTER_MS,
    };
    int error = options->hooks->on_start(w, options->service, &http, &w->state);
    if (error)
        return error;
    return http_new(&http, &w->http);
}

/* Some worker could not start: those that could go back, without having served. */
static void take_back(struct worker *w)
{
    const struct worker_hooks *hooks = w->crew->options->hooks;
    uv_close((uv_handle_t *)&w->turn, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_close((uv_handle_t *)&w->signal, NULL);
    http_free(w->http);
    if (w->state && hooks->on_stop)
        hooks->on_stop(w->state);
}

static void *run(void *argument)
{
    struct worker *w = argument;
    const struct worker_hooks *hooks = w->crew->options->hooks;
    start_handles(w);
    w->error = start_service(w);
    if (w->error)
        atomic_store(&w->crew->failed, true);
    pthread_barrier_wait(&w->crew->started);
    if (atomic_load(&w->crew->failed))
        take_back(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    if (w->state && hooks->on_free)
        hooks->on_free(w->state);
    MUST(uv_loop_close(&w->loop) == 0);
    return NULL;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Before the first thread: all inherit the mask, so that the signals wait for the main thread. */
static void block_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    MUST(pthread_sigmask(SIG_BLOCK, ret_set, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
}

static void init_crew(struct crew *crew, const struct worker_options *options)
{
    crew->options = options;
    crew->workers = xcalloc(options->workers, sizeof *crew->workers);
    MUST(pthread_barrier_init(&crew->started, NULL, options->workers + 1) == 0);
    MUST(pthread_barrier_init(&crew->settled, NULL, options->workers) == 0);
    for (unsigned i = 0; i < options->workers; i++) {
        crew->workers[i] = xcalloc(1, sizeof **crew->workers);
        crew->workers[i]->crew = crew;
        crew->workers[i]->index = i;
    }
}

static void done_crew(struct crew *crew)
{
    for (unsigned i = 0; i < crew->options->workers; i++)
        free(crew->workers[i]);
    free(crew->workers);
    pthread_barrier_destroy(&crew->started);
    pthread_barrier_destroy(&crew->settled);
}

/* The workers hold duplicates of the listening socket; ours would keep it listening after them. */
static void start_crew(struct crew *crew)
{
    for (unsigned i = 0; i < crew->options->workers; i++)
        MUST(pthread_create(&crew->workers[i]->thread, NULL, run, crew->workers[i]) == 0);
    pthread_barrier_wait(&crew->started);
    close(crew->listen_fd);
}

static void await_signal(struct crew *crew, const sigset_t *signals)
{
    int number;
    MUST(sigwait(signals, &number) == 0);
    atomic_store(&crew->draining, true);
    if (crew->options->hooks->on_drain)
        crew->options->hooks->on_drain(crew->options->service);
    for (unsigned i = 0; i < crew->options->workers; i++)
        uv_async_send(&crew->workers[i]->signal);
}

/* 0, or the first worker's reason for not starting. */
static int join_crew(struct crew *crew)
{
    int error = 0;
    for (unsigned i = 0; i < crew->options->workers; i++) {
        MUST(pthread_join(crew->workers[i]->thread, NULL) == 0);
        if (error == 0)
            error = crew->workers[i]->error;
    }
    return error;
}

int worker_run_all(const struct worker_options *options, char **ret_reason)
{
    struct crew crew = {0};
    sigset_t signals;
    raise_descriptor_limit();
    block_signals(&signals);
    int error = listen_on(options->listen_address, options->port, &crew.listen_fd, ret_reason);
    if (error)
        return error;
    init_crew(&crew, options);
    start_crew(&crew);
    if (!atomic_load(&crew.failed))
        await_signal(&crew, &signals);
    error = join_crew(&crew);
    if (error)
        *ret_reason = xasprintf("A worker could not start: %s.", uv_strerror(error));
    done_crew(&crew);
    return error;
}

uv_loop_t *worker_loop(struct worker *worker)
{
    return &worker->loop;
}

unsigned worker_index(const struct worker *worker)
{
    return worker->index;
}

struct http *worker_http(struct worker *worker)
{
    return worker->http;
}

bool worker_is_draining(const struct worker *worker)
{
    return atomic_load(&worker->crew->draining);
}

struct worker *const *worker_all(const struct worker *worker, size_t *ret_count)
{
    *ret_count = worker->crew->options->workers;
    return worker->crew->workers;
}

void *worker_state(const struct worker *worker)
{
    return worker->state;
}
