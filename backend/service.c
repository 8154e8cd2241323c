/* The backend as a service: one route reads the users, the others are for its operators. */
#include "backend/service.h"

#include <stdlib.h>
#include <string.h>

#include "backend/config.h"
#include "backend/metrics.h"
#include "backend/reads.h"
#include "lib/buf.h"
#include "lib/http.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/ops.h"
#include "lib/worker.h"

/* A worker's state, and the context of its handlers. */
struct backend_worker {
    struct ops ops; /* first: see lib/ops.h */
    struct reads *reads;
};

static const char problem[] = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\","
                              "\"status\":503,\"detail\":\"%s\"}\n";

/* Only programs ask for users: an error is JSON whatever Accept says. */
static void reply_unavailable(struct http_request *req, int status)
{
    struct buf body = {0};
    const char *detail = "The database cannot be reached.";
    if (status == UV_ENOBUFS)
        detail = "Too many requests wait for the database.";
    else if (status == UV_ETIMEDOUT)
        detail = "The database did not answer in time.";
    buf_printf(&body, problem, detail);
    struct http_reply reply = {.status = 503,
                               .content_type = "application/problem+json",
                               .body = body.data,
                               .length = body.length,
                               .retry_after_s = 1,
                               .degraded = status == UV_ENOBUFS ? "max_waiting" : "database"};
    http_reply(req, &reply);
    buf_done(&body);
}

static void on_users(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)index;
    struct http_request *req = http_request_of(waiter);
    if (status) {
        reply_unavailable(req, status);
        return;
    }
    struct http_reply reply = {.status = 200, .content_type = "application/json"};
    reply.body = reads_body(result, &reply.length);
    http_reply(req, &reply);
}

static void get_backend(struct http_request *req, void *context)
{
    struct backend_worker *w = context;
    struct batch_waiter *waiter = http_state(req);
    waiter->on_done = on_users;
    int status = reads_join(w->reads, waiter);
    if (status)
        reply_unavailable(req, status);
}

static void on_gone(struct http_request *req, void *context)
{
    struct backend_worker *w = context;
    reads_leave(w->reads, http_state(req));
}

static const struct http_route routes[] = {
    {.path = "/backend",
     .on_get = get_backend,
     .on_gone = on_gone,
     .state_size = sizeof(struct batch_waiter),
     .content_type = "application/json"},
    OPS_ROUTES,
    {.path = NULL},
};

static void on_database(bool up, const char *reason, void *context)
{
    const struct backend_worker *w = context;
    log_begin(up ? LOG_INFO : LOG_WARN, up ? "database is up" : "database is down");
    log_text("reason", up ? NULL : reason);
    log_int("worker", worker_index(w->ops.worker));
    log_end();
}

static size_t on_dependencies(const void *state, struct ops_dependency ret_list[OPS_DEPENDENCIES])
{
    const struct backend_worker *w = state;
    ret_list[0] = (struct ops_dependency){"database", reads_is_up(w->reads)};
    return 1;
}

/* DB_POOL is shared out among the workers; each has at least one connection. */
static unsigned pool_share(const struct backend_config *c, unsigned index)
{
    unsigned pool = (unsigned)c->db_pool, workers = (unsigned)c->workers;
    unsigned share = pool / workers + (index < pool % workers);
    return share > 0 ? share : 1;
}

static void make_reads(struct backend_worker *w, const struct backend_config *c)
{
    struct reads_options o = {.loop = worker_loop(w->ops.worker),
                              .database = &c->database,
                              .pool_size = pool_share(c, worker_index(w->ops.worker)),
                              .timeout_s = (unsigned)c->db_timeout_s,
                              .max_waiting = (unsigned)c->max_waiting,
                              .max_users = (unsigned)c->max_users,
                              .metrics = w->ops.metrics,
                              .on_state = on_database,
                              .context = w};
    w->reads = reads_new(&o);
}

static int on_start(struct worker *worker, void *service, struct http_options *http,
                    void **ret_state)
{
    const struct backend_config *c = service;
    struct backend_worker *w = xcalloc(1, sizeof *w);
    w->ops = (struct ops){.service = "tally-backend",
                          .version = c->release,
                          .worker = worker,
                          .metrics = metrics_new(backend_metrics, BACKEND_METRICS),
                          .log_requests = c->log_requests,
                          .on_dependencies = on_dependencies,
                          .ready_at_ms = uv_now(worker_loop(worker)) + (uint64_t)c->ready_wait_ms};
    make_reads(w, c);
    http->routes = routes;
    http->context = w;
    http->csp = "default-src 'none'; frame-ancestors 'none'";
    http->on_done = ops_log_request;
    http->on_library_message = ops_log_library_message;
    *ret_state = w;
    log_hold();
    return 0;
}

static void on_turn(void *state)
{
    struct backend_worker *w = state;
    ops_turn(&w->ops);
    reads_flush(w->reads);
    log_flush();
}

static bool on_settle(void *state)
{
    const struct backend_worker *w = state;
    return reads_is_settled(w->reads);
}

static void on_stop(void *state)
{
    struct backend_worker *w = state;
    reads_free(w->reads);
    w->reads = NULL;
}

static void on_free(void *state)
{
    struct backend_worker *w = state;
    log_flush();
    metrics_free(w->ops.metrics);
    free(w);
}

static void on_drain(void *service)
{
    (void)service;
    log_begin(LOG_INFO, "leaving: answers what is in flight");
    log_end();
}

static void log_started(const struct backend_config *c)
{
    log_begin(LOG_INFO, "starting");
    log_text("address", c->listen_address);
    log_int("port", c->port);
    log_int("workers", c->workers);
    log_text("version", ops_version(c->release));
    log_end();
}

static void log_end_of_run(int status, char *reason)
{
    log_begin(status ? LOG_ERROR : LOG_INFO, status ? "cannot start" : "stopped");
    log_text("reason", reason);
    log_end();
    free(reason);
}

int backend_run(const struct backend_config *c)
{
    static const struct worker_hooks hooks = {.on_start = on_start,
                                              .on_turn = on_turn,
                                              .on_settle = on_settle,
                                              .on_stop = on_stop,
                                              .on_free = on_free,
                                              .on_drain = on_drain};
    struct worker_options o = {.workers = (unsigned)c->workers,
                               .listen_address = c->listen_address,
                               .port = (int)c->port,
                               .max_connections = (unsigned)c->max_connections,
                               .connection_timeout_s = (unsigned)c->connection_timeout_s,
                               .drain_delay_ms = (unsigned)c->drain_delay_ms,
                               .drain_timeout_ms = (unsigned)c->drain_timeout_ms,
                               .hooks = &hooks,
                               .service = (void *)c};
    char *reason = NULL;
    log_init("tally-backend", (enum log_level)c->log_level);
    log_started(c);
    int status = worker_run_all(&o, &reason);
    log_end_of_run(status, reason);
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
