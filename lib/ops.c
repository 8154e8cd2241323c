/* The operators' routes and log lines, the same for each service. */
#include "lib/ops.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/build.h"
#include "lib/http.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/worker.h"

static void reply(struct http_request *req, int status, const char *type, struct buf *body)
{
    http_reply(req, &(struct http_reply){.status = status,
                                         .content_type = type,
                                         .body = body->data,
                                         .length = body->length});
    buf_done(body);
}

void ops_get_healthz(struct http_request *req, void *state)
{
    (void)state;
    struct buf body = {0};
    buf_puts(&body, "ok\n");
    reply(req, 200, OPS_TEXT, &body);
}

static bool is_whole(const struct ops *ops)
{
    struct ops_dependency list[OPS_DEPENDENCIES];
    size_t count = ops->on_dependencies(ops, list);
    for (size_t i = 0; i < count; i++)
        if (!list[i].up)
            return false;
    return true;
}

void ops_turn(struct ops *ops)
{
    if (!atomic_load_explicit(&ops->was_whole, memory_order_relaxed) && is_whole(ops))
        atomic_store_explicit(&ops->was_whole, true, memory_order_relaxed);
}

/* Any worker may get the next request. */
static bool were_all_whole(const struct ops *ops)
{
    size_t count;
    struct worker *const *workers = worker_all(ops->worker, &count);
    for (size_t i = 0; i < count; i++) {
        const struct ops *other = worker_state(workers[i]);
        if (!other || !atomic_load_explicit(&other->was_whole, memory_order_relaxed))
            return false;
    }
    return true;
}

/* "database: up" */
static void put_dependencies(struct buf *out, const struct ops *ops)
{
    struct ops_dependency list[OPS_DEPENDENCIES];
    size_t count = ops->on_dependencies(ops, list);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s: %s\n", list[i].name, list[i].up ? "up" : "down");
}

void ops_get_readyz(struct http_request *req, void *state)
{
    const struct ops *ops = state;
    const char *said = "ready\n";
    int status = 503;
    struct buf body = {0};
    if (worker_is_draining(ops->worker))
        said = "draining\n";
    else if (uv_now(worker_loop(ops->worker)) < ops->ready_at_ms && !were_all_whole(ops))
        said = "starting\n";
    else
        status = 200;
    buf_puts(&body, said);
    if (http_has_query_flag(req, "verbose"))
        put_dependencies(&body, ops);
    reply(req, status, OPS_TEXT, &body);
}

static void put_member(struct buf *out, const char *before, const char *text)
{
    buf_puts(out, before);
    buf_put_json(out, text, strlen(text));
}

void ops_get_version(struct http_request *req, void *state)
{
    const struct ops *ops = state;
    struct buf body = {0};
    put_member(&body, "{\"service\":", ops->service);
    put_member(&body, ",\"version\":", ops_version(ops->version));
    put_member(&body, ",\"revision\":", build_revision);
    put_member(&body, ",\"tree\":", build_tree);
    buf_puts(&body, "}\n");
    reply(req, 200, "application/json", &body);
}

void ops_get_metrics(struct http_request *req, void *state)
{
    const struct ops *ops = state;
    size_t count;
    struct worker *const *workers = worker_all(ops->worker, &count);
    struct metrics **sets = xcalloc(count, sizeof *sets);
    struct http **servers = xcalloc(count, sizeof *servers);
    size_t present = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ops *other = worker_state(workers[i]);
        struct http *server = worker_http(workers[i]);
        if (!other || !server) /* still starting */
            continue;
        sets[present] = other->metrics;
        servers[present++] = server;
    }
    struct buf body = {0};
    metrics_write(&body, sets, present);
    http_write_metrics(&body, servers, present);
    metrics_write_process(&body, ops->service, ops_version(ops->version), build_revision);
    free(sets);
    free(servers);
    reply(req, 200, OPS_METRICS_TEXT, &body);
}

void ops_log_request(const struct http_outcome *outcome, void *state)
{
    enum { TRACE_ID = 3, TRACE_ID_LENGTH = 32 }; /* where it stands in a traceparent */
    const struct ops *ops = state;
    bool failed = outcome->status >= 500 || outcome->degraded;
    char trace_id[TRACE_ID_LENGTH + 1] = "";
    if (!failed && !ops->log_requests)
        return;
    memcpy(trace_id, http_traceparent(outcome->request) + TRACE_ID, TRACE_ID_LENGTH);
    log_begin(failed ? LOG_WARN : LOG_INFO, "request");
    log_text("method", outcome->method);
    log_text("path", outcome->path);
    log_int("status", outcome->status);
    log_int("duration_us", (int64_t)(outcome->duration_ns / 1000));
    log_text("degraded", outcome->degraded);
    log_text("request_id", http_request_id(outcome->request));
    log_text("trace_id", trace_id);
    log_end();
}

void ops_log_library_message(const char *text, void *state)
{
    (void)state;
    log_begin(LOG_WARN, "HTTP library");
    log_text("reason", text);
    log_end();
}

const char *ops_version(const char *release)
{
    return release && *release ? release : build_revision;
}
