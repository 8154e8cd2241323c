/* The visit counter in Redis: the one place that knows the script and the keys. */
#include "frontend/visits.h"
#include "frontend/metrics.h"
#include "frontend/visits_script.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/redis.h"
#include <stdlib.h>
#include <string.h>

/* DESIGN. A worker is one producer with one batch in flight. What was sent under a sequence MUST
 * stay as it is, and be repeated on every new connection, until an answer settles it: an answer
 * that was lost may have been counted. So a batch outlives its calls: counting.sent is its n until
 * then. An error answer counted nothing, and this server is of no use: on to a new connection. The
 * counter's reads need none of this.
 *
 * The script's text goes to the server once a connection; a batch calls it by the name that the
 * server gave it, which saves Redis a fifth of what a call costs it (the text's SHA-1). A server
 * that has forgotten it answers an error like any other, and the next connection brings it back. */
struct visits {
    struct visits_options options;
    struct redis *redis;
    struct batch counting, reading;
    uv_timer_t timer; /* the next deadline of both batches */
    char *script;
    char script_name[SCRIPT_NAME + 1]; /* at the server of this connection */
    struct producer producer;
    uint64_t counting_since_ns, reading_since_ns, greeting_since_ns;
    bool tried; /* the first attempt to connect has come to its end */
    char *told; /* why Redis is down, as last logged; NULL: it was up */
};

/* A settled batch: its numbers are last - n + 1 to last. */
struct counted {
    int64_t last, n;
};

/* ---- what is said of it ---- */

static void count_call(struct visits *v, uint64_t since_ns, bool good)
{
    struct metrics *m = v->options.metrics;
    metrics_add(m, REDIS_CALLS, 1);
    metrics_observe(m, REDIS_SECONDS, uv_hrtime() - since_ns);
    if (!good)
        metrics_add(m, REDIS_FAILURES, 1);
}

static void count_batch(struct visits *v, const struct visits_answer *answer, uint64_t n)
{
    struct metrics *m = v->options.metrics;
    metrics_add(m, VISITS, n);
    metrics_add(m, VISIT_BATCHES, 1);
    metrics_observe(m, VISIT_BATCH_SIZE, n);
    if (answer->remembered)
        metrics_add(m, VISIT_BATCHES_REMEMBERED, 1);
}

/* Each reason once, not at every attempt. */
static void tell_down(struct visits *v, const char *reason)
{
    if (v->told && strcmp(v->told, reason) == 0)
        return;
    free(v->told);
    v->told = xstrdup(reason);
    log_begin(LOG_WARN, "redis is unavailable");
    log_text("reason", reason);
    log_end();
}

static void tell_up(struct visits *v)
{
    free(v->told);
    v->told = NULL;
    log_begin(LOG_INFO, "redis is ready");
    log_end();
}

/* ---- the floor ---- */

static int64_t get_floor(const struct visits *v)
{
    return atomic_load_explicit(v->options.floor, memory_order_relaxed);
}

static void raise_floor(struct visits *v, int64_t seen)
{
    int64_t floor = get_floor(v);
    while (floor < seen &&
           !atomic_compare_exchange_weak_explicit(v->options.floor, &floor, seen,
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
}

static const char *words_of(const struct redis_value *value)
{
    return value->kind == REDIS_ERROR ? value->text : "redis gave an answer that is none";
}

static void note_answer(struct visits *v, const struct visits_answer *answer)
{
    if (answer->floor_needed) {
        metrics_add(v->options.metrics, FLOOR_NEEDED, 1);
        log_begin(LOG_ERROR, "redis had lost numbers that were handed out; counting on from them");
        log_int("counter", answer->last);
        log_end();
    }
    raise_floor(v, answer->last);
}

/* ---- counting ---- */

/* Nobody knows what became of this batch; whoever still waits is told so. */
static void give_up_batch(struct visits *v)
{
    log_begin(LOG_ERROR, "redis calls the batch of visits stale; counting on as a new producer");
    log_end();
    metrics_add(v->options.metrics, VISIT_BATCHES_STALE, 1);
    producer_renew(&v->producer);
    batch_finish(&v->counting, UV_EPROTO, NULL);
}

static void on_counted(void *arg, int status, const struct redis_value *value)
{
    struct visits *v = arg;
    uint64_t n = v->counting.sent;
    struct visits_answer answer;
    bool good = status == 0 && visits_read_answer(value, n, &answer);
    count_call(v, v->counting_since_ns, good);
    if (good) {
        struct counted counted = {.last = answer.last, .n = (int64_t)n};
        note_answer(v, &answer);
        count_batch(v, &answer, n);
        batch_finish(&v->counting, 0, &counted);
    } else if (status == 0 && visits_is_stale(value)) {
        give_up_batch(v);
    } else if (status == 0) {
        redis_reset(v->redis, words_of(value));
    }
}

static void send_batch(struct visits *v)
{
    v->counting_since_ns = uv_hrtime();
    struct visits_call call = {.name = v->script_name,
                               .producer = &v->producer,
                               .n = v->counting.sent,
                               .floor = get_floor(v)};
    MUST(visits_send(v->redis, redis_call, &call, on_counted, v) == 0); /* READY */
}

/* ---- reading the total ---- */

static void on_total(void *arg, int status, const struct redis_value *value)
{
    struct visits *v = arg;
    int64_t total = 0;
    bool good = status == 0 && visits_read_total(value, &total);
    count_call(v, v->reading_since_ns, good);
    if (!good) {
        batch_finish(&v->reading, status ? status : UV_EPROTO, NULL);
        return;
    }
    raise_floor(v, total);
    total = get_floor(v);
    batch_finish(&v->reading, 0, &total);
}

static void send_read(struct visits *v)
{
    static const char *const ARGV[] = {"GET", VISITS_COUNTER};
    v->reading_since_ns = uv_hrtime();
    MUST(redis_call(v->redis, on_total, v, 2, ARGV, NULL) == 0); /* READY */
}

/* ---- the connection ---- */

static void on_greeted(void *arg, int status, const struct redis_value *value)
{
    struct visits *v = arg;
    struct visits_answer answer;
    bool good = status == 0 && visits_read_answer(value, 0, &answer);
    count_call(v, v->greeting_since_ns, good);
    if (good) {
        note_answer(v, &answer);
        redis_accept(v->redis);
    } else if (status == 0) {
        redis_reset(v->redis, words_of(value));
    }
}

static void on_script_kept(void *arg, int status, const struct redis_value *value)
{
    struct visits *v = arg;
    if (status == 0 && !visits_read_name(value, v->script_name))
        redis_reset(v->redis, words_of(value));
}

static void on_greet(struct redis *r, void *context)
{
    struct visits *v = context;
    struct visits_call greeting = {
        .script = v->script, .producer = &v->producer, .floor = get_floor(v)};
    v->greeting_since_ns = uv_hrtime();
    MUST(visits_send_script(r, v->script, on_script_kept, v) == 0);
    MUST(visits_send(r, redis_greet, &greeting, on_greeted, v) == 0);
}

static void on_state(struct redis *r, enum redis_state state, const char *reason, void *context)
{
    struct visits *v = context;
    (void)r;
    if (state == REDIS_CONNECTING)
        return;
    v->tried = true;
    metrics_set(v->options.metrics, REDIS_UP, state == REDIS_READY);
    if (state == REDIS_CLOSED) {
        tell_down(v, reason);
        batch_fail_waiting(&v->counting, UV_ENOTCONN);
        batch_fail_waiting(&v->reading, UV_ENOTCONN);
        return;
    }
    tell_up(v);
    if (v->counting.sent) {
        metrics_add(v->options.metrics, VISIT_BATCHES_REPEATED, 1);
        send_batch(v);
    }
}

/* ---- deadlines ---- */

static void arm(struct visits *v);

static void on_deadline(uv_timer_t *timer)
{
    struct visits *v = timer->data;
    batch_expire(&v->counting, uv_now(v->options.loop));
    batch_expire(&v->reading, uv_now(v->options.loop));
    arm(v);
}

/* All wait equally long: a timer that runs already is never too late. */
static void arm(struct visits *v)
{
    uint64_t counting = batch_next_deadline(&v->counting);
    uint64_t reading = batch_next_deadline(&v->reading);
    uint64_t next = counting < reading ? counting : reading;
    uint64_t now = uv_now(v->options.loop);
    if (next == UINT64_MAX || uv_is_active((uv_handle_t *)&v->timer))
        return;
    MUST(uv_timer_start(&v->timer, on_deadline, next > now ? next - now : 0, 0) == 0);
}

/* A turn within a millisecond; the deadlines' timer finds nothing to do and is armed as before. */
static void look_again(struct visits *v)
{
    if (!uv_is_active((uv_handle_t *)&v->timer) || uv_timer_get_due_in(&v->timer) > 1)
        MUST(uv_timer_start(&v->timer, on_deadline, 1, 0) == 0);
}

static int join(struct visits *v, struct batch *batch, struct batch_waiter *waiter,
                enum frontend_metric when_full)
{
    if (v->tried && redis_state(v->redis) != REDIS_READY)
        return UV_ENOTCONN;
    int error = batch_join(batch, waiter, uv_now(v->options.loop));
    if (error)
        metrics_add(v->options.metrics, when_full, 1);
    else
        arm(v);
    return error;
}

/* ---- the contract ---- */

int visits_new(const struct visits_options *options, struct visits **ret_visits)
{
    struct visits *v = xcalloc(1, sizeof *v);
    v->options = *options;
    struct redis_options redis = {
        .loop = options->loop,
        .url = options->url,
        .ca_file = options->ca_file,
        .timeout_ms = options->timeout_ms,
        .context = v,
        .on_greet = on_greet,
        .on_state = on_state,
    };
    int error = redis_new(&redis, &v->redis);
    if (error) {
        free(v);
        return error;
    }
    v->script = visits_script();
    producer_renew(&v->producer);
    batch_init(&v->counting, options->max_waiting, options->timeout_ms);
    batch_init(&v->reading, options->max_waiting, options->timeout_ms);
    MUST(uv_timer_init(options->loop, &v->timer) == 0);
    v->timer.data = v;
    metrics_set(options->metrics, REDIS_UP, 0);
    *ret_visits = v;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct visits *v = handle->data;
    free(v->script);
    free(v->told);
    free(v);
}

void visits_free(struct visits *v)
{
    if (!v)
        return;
    redis_free(v->redis);
    if (v->counting.sent)
        batch_finish(&v->counting, UV_ECANCELED, NULL);
    batch_fail_waiting(&v->counting, UV_ECANCELED);
    batch_fail_waiting(&v->reading, UV_ECANCELED);
    uv_close((uv_handle_t *)&v->timer, on_timer_closed);
}

int visits_join(struct visits *v, struct batch_waiter *waiter)
{
    return join(v, &v->counting, waiter, VISITS_FULL);
}

int visits_join_total(struct visits *v, struct batch_waiter *waiter)
{
    return join(v, &v->reading, waiter, TOTALS_FULL);
}

void visits_leave(struct visits *v, struct batch_waiter *waiter)
{
    batch_leave(&v->counting, waiter);
}

void visits_leave_total(struct visits *v, struct batch_waiter *waiter)
{
    batch_leave(&v->reading, waiter);
}

int64_t visits_number(uint64_t index, const void *result)
{
    const struct counted *counted = result;
    return counted->last - counted->n + 1 + (int64_t)index;
}

int64_t visits_total(const void *result)
{
    return *(const int64_t *)result;
}

void visits_flush(struct visits *v)
{
    if (redis_state(v->redis) != REDIS_READY)
        return;
    if (batch_gathers(&v->counting, uv_hrtime()))
        look_again(v);
    else if (batch_start(&v->counting)) {
        v->producer.seq++;
        send_batch(v);
    }
    if (batch_start(&v->reading))
        send_read(v);
}

bool visits_wait(const struct visits *v)
{
    return v->counting.waiting_count > 0;
}

bool visits_is_settled(const struct visits *v)
{
    return v->counting.sent == 0;
}

bool visits_is_up(const struct visits *v)
{
    return redis_state(v->redis) == REDIS_READY;
}
