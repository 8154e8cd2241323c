/* The visit counter in Redis: the one place that knows the script and the keys. */
#include "frontend/visits.h"
#include "frontend/metrics.h"
#include "lib/embed.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/redis.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

EMBED(visits_lua, "frontend/visits.lua");

/* DESIGN. A worker is one producer with one batch in flight. What was sent under a sequence MUST
 * stay as it is, and be repeated on every new connection, until an answer settles it: an answer
 * that was lost may have been counted. So a batch outlives its calls: counting.sent is its n until
 * then. An error answer counted nothing, and this server is of no use: on to a new connection. The
 * counter's reads need none of this. */
#define COUNTER "{tally}:visits"
#define RECORD "{tally}:p:" /* and the producer */
enum { PRODUCER_BYTES = 16, TEXT_MAX = 24 };
static const int64_t EXACT_MAX = (int64_t)1 << 53; /* the script's numbers are exact up to here */

/* How the script came to its result; bits. */
enum { HOW_REMEMBERED = 1, HOW_FLOOR = 2 };

struct visits {
    struct visits_options options;
    struct redis *redis;
    struct batch counting, reading;
    uv_timer_t timer; /* the next deadline of both batches */
    char *script;
    char record[sizeof RECORD + 2 * PRODUCER_BYTES]; /* the key */
    uint64_t seq;                                    /* of the last batch sent */
    uint64_t counting_since_ns, reading_since_ns, greeting_since_ns;
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

static void count_batch(struct visits *v, const struct counted *counted, int64_t how)
{
    struct metrics *m = v->options.metrics;
    metrics_add(m, VISITS, (uint64_t)counted->n);
    metrics_add(m, VISIT_BATCHES, 1);
    metrics_observe(m, VISIT_BATCH_SIZE, (uint64_t)counted->n);
    if (how & HOW_REMEMBERED)
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

/* ---- the script's call and its answer ---- */

/* The script without comments and indentation: it travels with every call. */
static char *pack_script(void)
{
    char *script = xmalloc(EMBED_LENGTH(visits_lua) + 1), *to = script;
    const char *from = visits_lua;
    while (*from) {
        from += strspn(from, " \n");
        size_t length = strcspn(from, "\n");
        if (strncmp(from, "--", 2) != 0) {
            memcpy(to, from, length);
            to += length;
            *to++ = '\n';
        }
        from += length;
    }
    *to = '\0';
    return script;
}

static void take_producer_id(struct visits *v)
{
    unsigned char random[PRODUCER_BYTES];
    MUST(getrandom(random, sizeof random, 0) == sizeof random);
    char *to = stpcpy(v->record, RECORD);
    for (size_t i = 0; i < sizeof random; i++)
        to += sprintf(to, "%02x", random[i]);
    v->seq = 0;
}

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

typedef int send_function(struct redis *r, redis_on_reply on_reply, void *arg, size_t argc,
                          const char *const *argv, const size_t *lengths);

static int eval(struct visits *v, send_function *send, redis_on_reply on_reply, uint64_t n)
{
    char seq_text[TEXT_MAX], n_text[TEXT_MAX], floor_text[TEXT_MAX];
    snprintf(seq_text, sizeof seq_text, "%llu", (unsigned long long)v->seq);
    snprintf(n_text, sizeof n_text, "%llu", (unsigned long long)n);
    snprintf(floor_text, sizeof floor_text, "%lld", (long long)get_floor(v));
    const char *argv[] = {"EVAL", v->script, "2", COUNTER, v->record, seq_text, n_text, floor_text};
    return send(v->redis, on_reply, v, sizeof argv / sizeof *argv, argv, NULL);
}

/* false: not what the script answers. */
static bool read_answer(const struct redis_value *value, uint64_t n, int64_t *ret_last,
                        int64_t *ret_how)
{
    if (value->kind != REDIS_ARRAY || value->count != 2)
        return false;
    const struct redis_value *last = &value->items[0], *how = &value->items[1];
    if (last->kind != REDIS_INTEGER || how->kind != REDIS_INTEGER)
        return false;
    if (last->integer < (int64_t)n || last->integer > EXACT_MAX || how->integer < 0)
        return false;
    *ret_last = last->integer;
    *ret_how = how->integer;
    return true;
}

static const char *words_of(const struct redis_value *value)
{
    return value->kind == REDIS_ERROR ? value->text : "redis gave an answer that is none";
}

static void note_answer(struct visits *v, int64_t last, int64_t how)
{
    if (how & HOW_FLOOR) {
        metrics_add(v->options.metrics, FLOOR_NEEDED, 1);
        log_begin(LOG_ERROR, "redis had lost numbers that were handed out; counting on from them");
        log_int("counter", last);
        log_end();
    }
    raise_floor(v, last);
}

/* ---- counting ---- */

/* Nobody knows what became of this batch; whoever still waits is told so. */
static void give_up_batch(struct visits *v)
{
    log_begin(LOG_ERROR, "redis calls the batch of visits stale; counting on as a new producer");
    log_end();
    metrics_add(v->options.metrics, VISIT_BATCHES_STALE, 1);
    take_producer_id(v);
    batch_finish(&v->counting, UV_EPROTO, NULL);
}

static void on_counted(void *arg, int status, const struct redis_value *value)
{
    struct visits *v = arg;
    struct counted counted = {.n = (int64_t)v->counting.sent};
    int64_t how = 0;
    bool good = status == 0 && read_answer(value, v->counting.sent, &counted.last, &how);
    count_call(v, v->counting_since_ns, good);
    if (good) {
        note_answer(v, counted.last, how);
        count_batch(v, &counted, how);
        batch_finish(&v->counting, 0, &counted);
    } else if (status == 0 && value->kind == REDIS_ERROR && strncmp(value->text, "STALE", 5) == 0) {
        give_up_batch(v);
    } else if (status == 0) {
        redis_reset(v->redis, words_of(value));
    }
}

static void send_batch(struct visits *v)
{
    v->counting_since_ns = uv_hrtime();
    /* What could not be sent is repeated on the next connection. */
    (void)!eval(v, redis_call, on_counted, v->counting.sent);
}

/* ---- reading the total ---- */

/* false: no number. An absent counter is 0. */
static bool read_total(const struct redis_value *value, int64_t *ret_total)
{
    if (value->kind == REDIS_NIL) {
        *ret_total = 0;
        return true;
    }
    if (value->kind != REDIS_TEXT || value->length == 0 || value->length > 16 ||
        strspn(value->text, "0123456789") != value->length)
        return false;
    int64_t total = strtoll(value->text, NULL, 10);
    if (total > EXACT_MAX)
        return false;
    *ret_total = total;
    return true;
}

static void on_total(void *arg, int status, const struct redis_value *value)
{
    struct visits *v = arg;
    int64_t total = 0;
    bool good = status == 0 && read_total(value, &total);
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
    static const char *const ARGV[] = {"GET", COUNTER};
    v->reading_since_ns = uv_hrtime();
    int error = redis_call(v->redis, on_total, v, 2, ARGV, NULL);
    if (error)
        batch_finish(&v->reading, error, NULL);
}

/* ---- the connection ---- */

static void on_greeted(void *arg, int status, const struct redis_value *value)
{
    struct visits *v = arg;
    int64_t last, how;
    bool good = status == 0 && read_answer(value, 0, &last, &how);
    count_call(v, v->greeting_since_ns, good);
    if (good) {
        note_answer(v, last, how);
        redis_accept(v->redis);
    } else if (status == 0) {
        redis_reset(v->redis, words_of(value));
    }
}

static void on_greet(struct redis *r, void *context)
{
    struct visits *v = context;
    (void)r;
    v->greeting_since_ns = uv_hrtime();
    MUST(eval(v, redis_greet, on_greeted, 0) == 0);
}

static void on_state(struct redis *r, enum redis_state state, const char *reason, void *context)
{
    struct visits *v = context;
    (void)r;
    if (state == REDIS_CONNECTING)
        return;
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

static int join(struct visits *v, struct batch *batch, struct batch_waiter *waiter,
                enum frontend_metric when_full)
{
    if (redis_state(v->redis) != REDIS_READY)
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
    v->script = pack_script();
    take_producer_id(v);
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
    if (batch_start(&v->counting)) {
        v->seq++;
        send_batch(v);
    }
    if (batch_start(&v->reading))
        send_read(v);
}

bool visits_is_settled(const struct visits *v)
{
    return v->counting.sent == 0;
}

bool visits_is_up(const struct visits *v)
{
    return redis_state(v->redis) == REDIS_READY;
}
