/* A Redis client on the loop that reconnects by itself. */
#include "lib/redis.h"
#include "lib/mem.h"
#include "lib/redis_link.h"
#include "lib/redis_lookup.h"
#include "lib/redis_tls.h"
#include "lib/url.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

/* DESIGN. Everything that was sent and not answered stands in one FIFO, the handshake's commands
 * too; a reply belongs to the oldest. One timer means, after the state: try again (CLOSED), give
 * up connecting (CONNECTING), the oldest call's deadline (READY; all calls may take equally long).
 * change_state is the only one that changes the state, drop the only one that ends a connection.
 * Each callback may call redis_free: after one has run, the state is looked at before going on. */
enum { REASON_MAX = 256 };
enum { BACK_OFF_FIRST_MS = 200, BACK_OFF_MAX_MS = 1600 };

struct call {
    STAILQ_ENTRY(call) link;
    redis_on_reply on_reply;
    void *arg;
    uint64_t deadline_ms;
    bool by_owner; /* redis_call: its success ends the back-off */
};

STAILQ_HEAD(call_list, call);

struct redis {
    struct redis_options options;
    enum redis_state state;
    struct redis_link *link; /* NULL: none */
    struct redis_tls *tls;   /* made by the first connection that needs it */
    struct call_list calls;  /* unanswered, the oldest first */
    uv_timer_t timer;
    struct redis_lookup lookup;
    unsigned back_off_ms; /* the longest that the next pause may be */
    const char *step;     /* what connecting waits for, for the reason when it takes too long */
    char reset_reason[REASON_MAX]; /* of redis_reset inside a callback; "": none */
    bool replying;                 /* inside on_reply */
    bool greeting;                 /* inside on_greet */
    bool freed;
    bool timer_closed;
};

static void try_to_connect(struct redis *r);
static void on_timer(uv_timer_t *timer);

static void start_timer(struct redis *r, uint64_t delay_ms)
{
    MUST(uv_timer_start(&r->timer, on_timer, delay_ms, 0) == 0);
}

static void change_state(struct redis *r, enum redis_state state, const char *reason)
{
    r->state = state;
    if (r->options.on_state)
        r->options.on_state(r, state, reason, r->options.context);
}

/* Between half of the present limit and all of it, so that many clients do not come back at once.
 */
static uint64_t next_pause_ms(struct redis *r)
{
    unsigned limit = r->back_off_ms, random = 0;
    r->back_off_ms = limit * 2 < BACK_OFF_MAX_MS ? limit * 2 : BACK_OFF_MAX_MS;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (unsigned)uv_hrtime();
    return limit / 2 + random % (limit / 2 + 1);
}

static void fail_calls(struct redis *r, int status)
{
    struct call *call;
    while ((call = STAILQ_FIRST(&r->calls))) {
        STAILQ_REMOVE_HEAD(&r->calls, link);
        if (call->on_reply)
            call->on_reply(call->arg, status, NULL);
        free(call);
    }
}

/* Ends the connection, or the attempt, and comes back later. */
static void drop(struct redis *r, int status, const char *reason)
{
    char kept[REASON_MAX]; /* reason may belong to the connection */
    snprintf(kept, sizeof kept, "%s", reason);
    redis_link_free(r->link);
    r->link = NULL;
    r->reset_reason[0] = '\0';
    if (r->state == REDIS_CONNECTING)
        r->lookup.turn++;
    r->state = REDIS_CLOSED; /* before any callback: no call may be taken now */
    start_timer(r, next_pause_ms(r));
    fail_calls(r, status);
    if (!r->freed)
        change_state(r, REDIS_CLOSED, kept);
}

static void drop_with_detail(struct redis *r, int status, const char *what, const char *detail)
{
    char reason[REASON_MAX];
    snprintf(reason, sizeof reason, "%s: %s", what, detail);
    drop(r, status, reason);
}

static int send_call(struct redis *r, const struct call *template, size_t argc,
                     const char *const *argv, const size_t *lengths)
{
    struct call *call = xmalloc(sizeof *call);
    *call = *template;
    call->deadline_ms = uv_now(r->options.loop) + r->options.timeout_ms;
    STAILQ_INSERT_TAIL(&r->calls, call, link);
    redis_link_send(r->link, argc, argv, lengths);
    return 0;
}

/* ---- the handshake ---- */

static void become_ready(struct redis *r)
{
    start_timer(r, r->options.timeout_ms);
    change_state(r, REDIS_READY, "connected");
}

/* false: the step failed and the connection will be dropped. */
static bool step_succeeded(struct redis *r, const char *step, int status,
                           const struct redis_value *value)
{
    if (status != 0)
        return false;
    if (value->kind == REDIS_ERROR) {
        char reason[REASON_MAX];
        snprintf(reason, sizeof reason, "%s: %s", step, value->text);
        redis_reset(r, reason);
    }
    return value->kind != REDIS_ERROR;
}

/* The server's words may quote what it was sent: they are not passed on. */
static void on_auth(void *arg, int status, const struct redis_value *value)
{
    if (status == 0 && value->kind == REDIS_ERROR)
        redis_reset(arg, "AUTH was refused: check user and password");
}

static void on_select(void *arg, int status, const struct redis_value *value)
{
    (void)step_succeeded(arg, "SELECT was refused", status, value);
}

static void on_ping(void *arg, int status, const struct redis_value *value)
{
    struct redis *r = arg;
    if (!step_succeeded(r, "PING was refused", status, value))
        return;
    if (!r->options.on_greet) {
        become_ready(r);
        return;
    }
    r->step = "no answer to the greeting";
    r->greeting = true;
    r->options.on_greet(r, r->options.context);
    r->greeting = false;
}

static void send_step(struct redis *r, redis_on_reply on_reply, size_t argc,
                      const char *const *argv)
{
    struct call call = {.on_reply = on_reply, .arg = r};
    (void)send_call(r, &call, argc, argv, NULL);
}

static void on_open(void *context)
{
    struct redis *r = context;
    const struct url *url = r->options.url;
    r->step = "connected, but no answer";
    if (url->password && url->user && *url->user)
        send_step(r, on_auth, 3, (const char *[]){"AUTH", url->user, url->password});
    else if (url->password)
        send_step(r, on_auth, 2, (const char *[]){"AUTH", url->password});
    if (*url->path && strcmp(url->path, "0") != 0)
        send_step(r, on_select, 2, (const char *[]){"SELECT", url->path});
    send_step(r, on_ping, 1, (const char *[]){"PING"});
}

static void on_reply(void *context, const struct redis_value *value)
{
    struct redis *r = context;
    struct call *call = STAILQ_FIRST(&r->calls);
    MUST(call);
    STAILQ_REMOVE_HEAD(&r->calls, link);
    if (call->by_owner && value->kind != REDIS_ERROR)
        r->back_off_ms = BACK_OFF_FIRST_MS;
    r->replying = true;
    call->on_reply(call->arg, 0, value);
    r->replying = false;
    free(call);
    if (!r->freed && r->reset_reason[0])
        drop(r, UV_ECONNRESET, r->reset_reason);
}

static void on_end(void *context, int status, const char *reason)
{
    struct redis *r = context;
    drop_with_detail(r, status == UV_EPROTO ? UV_EPROTO : UV_ECONNRESET,
                     r->state == REDIS_READY ? "connection lost" : "cannot connect", reason);
}

/* ---- connecting ---- */

static int new_session(struct redis *r, struct ssl_st **ret_ssl)
{
    const char *reason = NULL;
    if (strcmp(r->options.url->scheme, "rediss") != 0)
        return 0;
    if (!r->tls)
        r->tls = redis_tls_new(r->options.ca_file, &reason);
    if (!r->tls) {
        drop(r, UV_EPROTO, reason);
        return UV_EPROTO;
    }
    *ret_ssl = redis_tls_session(r->tls, r->options.url->host);
    return 0;
}

static void connect_to_address(struct redis *r)
{
    struct redis_link_options options = {
        .loop = r->options.loop,
        .address = redis_lookup_address(&r->lookup),
        .context = r,
        .on_open = on_open,
        .on_reply = on_reply,
        .on_end = on_end,
    };
    if (new_session(r, &options.ssl) != 0)
        return;
    r->step = "no connection";
    int error = redis_link_new(&options, &r->link);
    if (error)
        drop_with_detail(r, UV_ECONNRESET, "cannot connect", uv_strerror(error));
}

static void free_when_closed(struct redis *r)
{
    if (!r->timer_closed || r->lookup.running)
        return;
    redis_lookup_done(&r->lookup);
    redis_tls_free(r->tls);
    free(r);
}

/* May come after its attempt was given up; then the next one looks up again. */
static void on_looked_up(struct redis_lookup *lookup, int status)
{
    struct redis *r = CONTAINER_OF(lookup, struct redis, lookup);
    if (r->freed)
        free_when_closed(r);
    else if (r->state != REDIS_CONNECTING)
        return;
    else if (status < 0)
        drop_with_detail(r, UV_ECONNRESET, "cannot look up the host", uv_strerror(status));
    else
        connect_to_address(r);
}

static void look_up(struct redis *r)
{
    r->step = "the host's name was not looked up";
    int error = redis_lookup_start(&r->lookup, r->options.loop, r->options.url);
    if (error)
        drop_with_detail(r, UV_ECONNRESET, "cannot look up the host", uv_strerror(error));
}

static void try_to_connect(struct redis *r)
{
    start_timer(r, r->options.timeout_ms);
    change_state(r, REDIS_CONNECTING, "connecting");
    if (!r->freed && r->state == REDIS_CONNECTING)
        look_up(r);
}

static void check_oldest_call(struct redis *r)
{
    const struct call *oldest = STAILQ_FIRST(&r->calls);
    uint64_t now_ms = uv_now(r->options.loop);
    if (!oldest)
        return;
    if (oldest->deadline_ms > now_ms)
        start_timer(r, oldest->deadline_ms - now_ms);
    else
        drop(r, UV_ETIMEDOUT, "no answer in time");
}

static void on_timer(uv_timer_t *timer)
{
    struct redis *r = timer->data;
    switch (r->state) {
    case REDIS_CLOSED:
        try_to_connect(r);
        break;
    case REDIS_CONNECTING:
        drop_with_detail(r, UV_ETIMEDOUT, "cannot connect in time", r->step);
        break;
    case REDIS_READY:
        check_oldest_call(r);
        break;
    }
}

/* ---- the contract ---- */

int redis_new(const struct redis_options *options, struct redis **ret_redis)
{
    if (redis_check_url(options->url))
        return UV_EINVAL;
    struct redis *r = xcalloc(1, sizeof *r);
    r->options = *options;
    r->back_off_ms = BACK_OFF_FIRST_MS;
    r->lookup.on_done = on_looked_up;
    STAILQ_INIT(&r->calls);
    MUST(uv_timer_init(options->loop, &r->timer) == 0);
    r->timer.data = r;
    start_timer(r, 0);
    *ret_redis = r;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct redis *r = handle->data;
    r->timer_closed = true;
    free_when_closed(r);
}

void redis_free(struct redis *r)
{
    if (!r)
        return;
    MUST(!r->freed);
    r->freed = true;
    r->state = REDIS_CLOSED;
    redis_link_free(r->link);
    r->link = NULL;
    redis_lookup_cancel(&r->lookup);
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
    fail_calls(r, UV_ECANCELED);
}

enum redis_state redis_state(const struct redis *r)
{
    return r->state;
}

int redis_call(struct redis *r, redis_on_reply on_reply_, void *arg, size_t argc,
               const char *const *argv, const size_t *lengths)
{
    if (r->state != REDIS_READY || r->reset_reason[0])
        return UV_ENOTCONN;
    struct call call = {.on_reply = on_reply_, .arg = arg, .by_owner = true};
    if (!uv_is_active((uv_handle_t *)&r->timer))
        start_timer(r, r->options.timeout_ms);
    return send_call(r, &call, argc, argv, lengths);
}

int redis_greet(struct redis *r, redis_on_reply on_reply_, void *arg, size_t argc,
                const char *const *argv, const size_t *lengths)
{
    if (!r->greeting || r->freed || r->reset_reason[0])
        return UV_ENOTCONN;
    struct call call = {.on_reply = on_reply_, .arg = arg};
    return send_call(r, &call, argc, argv, lengths);
}

void redis_accept(struct redis *r)
{
    MUST(r->replying);
    if (!r->freed && r->state == REDIS_CONNECTING && !r->reset_reason[0])
        become_ready(r);
}

void redis_reset(struct redis *r, const char *reason)
{
    if (r->freed || r->state == REDIS_CLOSED)
        return;
    if (!r->replying)
        drop(r, UV_ECONNRESET, *reason ? reason : "reset");
    else if (!r->reset_reason[0])
        snprintf(r->reset_reason, sizeof r->reset_reason, "%s", *reason ? reason : "reset");
}
