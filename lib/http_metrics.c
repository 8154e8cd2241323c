/* What the HTTP server counts, and its part of a scrape. */
#include "lib/http_internal.h"

#include <stdlib.h>
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/metrics.h"

#define DURATION "tally_http_request_duration_seconds"

/* 499: the client left before its answer. */
static const int statuses[] = {200, 204, 304, 400, 404, 405, 413, 414,
                               429, 431, 499, 500, 502, 503, 504};
enum { STATUS_COUNT = sizeof statuses / sizeof *statuses };

static const char *const methods[METHOD_COUNT] = {"GET", "HEAD", "OPTIONS", "other"};
static const char *const limits[LIMIT_COUNT] = {"max_connections", "header_bytes", "uri_bytes",
                                                "body_bytes"};

static int status_slot(int status)
{
    for (int i = 0; i < STATUS_COUNT; i++)
        if (statuses[i] == status)
            return i;
    return -1;
}

bool http_status_is_known(int status)
{
    return status_slot(status) >= 0;
}

static size_t series_count(const struct http *http)
{
    return (http->route_count + 1) * METHOD_COUNT * STATUS_COUNT;
}

void http_metrics_init(struct http *http)
{
    http->series = xcalloc(series_count(http), sizeof *http->series);
}

void http_metrics_done(struct http *http)
{
    for (size_t i = 0; i < series_count(http); i++)
        histogram_free(atomic_load(&http->series[i]));
    free((void *)http->series);
}

void http_metrics_observe(struct http *http, const struct http_request *req, uint64_t duration_ns)
{
    size_t route = req->route ? (size_t)(req->route - http->options.routes) : http->route_count;
    size_t slot = (size_t)status_slot(req->status);
    size_t index = (route * METHOD_COUNT + req->method) * STATUS_COUNT + slot;
    struct histogram *h = atomic_load_explicit(&http->series[index], memory_order_relaxed);
    if (h == NULL) {
        h = histogram_new(METRIC_SECONDS);
        atomic_store_explicit(&http->series[index], h, memory_order_release);
    }
    histogram_observe(h, duration_ns);
}

static void write_labelled(struct buf *out, const struct http *http, size_t index,
                           struct histogram *const *hs, size_t count)
{
    size_t route = index / STATUS_COUNT / METHOD_COUNT;
    const char *path = route < http->route_count ? http->options.routes[route].path : "other";
    char *labels = xasprintf("method=\"%s\",route=\"%s\",status=\"%d\"",
                             methods[index / STATUS_COUNT % METHOD_COUNT], path,
                             statuses[index % STATUS_COUNT]);
    histogram_write(out, DURATION, labels, hs, count);
    free(labels);
}

static void write_series(struct buf *out, struct http *const *servers, size_t count, size_t index)
{
    struct histogram **present = xcalloc(count, sizeof *present);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct histogram *h =
            atomic_load_explicit(&servers[i]->series[index], memory_order_acquire);
        if (h)
            present[n++] = h;
    }
    if (n > 0)
        write_labelled(out, servers[0], index, present, n);
    free(present);
}

static void write_gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s ", name, help, name, name);
    buf_put_u64(out, value);
    buf_puts(out, "\n");
}

static void write_limits(struct buf *out, struct http *const *servers, size_t count)
{
    buf_puts(out, "# HELP tally_limit_hits_total Times that a bound was reached; raise it, or find "
                  "out who sends so much.\n# TYPE tally_limit_hits_total counter\n");
    for (int limit = 0; limit < LIMIT_COUNT; limit++) {
        uint64_t hits = 0;
        for (size_t i = 0; i < count; i++)
            hits += atomic_load_explicit(&servers[i]->limit_hits[limit], memory_order_relaxed);
        buf_printf(out, "tally_limit_hits_total{limit=\"%s\"} ", limits[limit]);
        buf_put_u64(out, hits);
        buf_puts(out, "\n");
    }
}

void http_write_metrics(struct buf *out, struct http *const *servers, size_t count)
{
    if (count == 0)
        return;
    uint64_t waiting = 0, connections = 0;
    buf_puts(out, "# HELP " DURATION " Time from a request's header fields to the end of its "
                  "answer; 499: the client left before.\n# TYPE " DURATION " histogram\n");
    for (size_t i = 0; i < series_count(servers[0]); i++)
        write_series(out, servers, count, i);
    for (size_t i = 0; i < count; i++) {
        waiting += http_waiting(servers[i]);
        connections += atomic_load_explicit(&servers[i]->connections, memory_order_relaxed);
    }
    write_gauge(out, "tally_http_requests_waiting",
                "Requests that wait for a store; near the bound means that a store is slow.",
                waiting);
    write_gauge(out, "tally_http_connections",
                "Open connections of clients; compare with MAX_CONNECTIONS.", connections);
    write_limits(out, servers, count);
}
