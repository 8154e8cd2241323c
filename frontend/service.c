/* The frontend as a service: its routes, and what each worker makes, flushes, settles and closes.
 */
#include "frontend/service.h"

#include "frontend/api.h"
#include "frontend/config.h"
#include "frontend/frontend.h"
#include "frontend/home.h"
#include "frontend/metrics.h"
#include "frontend/page.h"
#include "frontend/users.h"
#include "frontend/visits.h"
#include "lib/buf.h"
#include "lib/fetch.h"
#include "lib/http.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/worker.h"

#include <stdlib.h>

#define PROBE_MS 1000

static const struct http_route routes[] = {
    {.path = "/",
     .on_get = home_get,
     .on_gone = home_gone,
     .state_size = sizeof(struct home),
     .content_type = "text/html; charset=utf-8",
     .negotiated = true},
    {.path = "/api/v1/visits",
     .on_get = api_get_visits,
     .on_gone = api_gone,
     .state_size = sizeof(struct batch_waiter),
     .content_type = "application/json"},
    OPS_ROUTES,
    {.path = NULL},
};

static size_t on_dependencies(const void *state, struct ops_dependency ret_list[OPS_DEPENDENCIES])
{
    const struct frontend_worker *w = state;
    size_t count = 0;
    ret_list[count++] = (struct ops_dependency){"redis", visits_is_up(w->visits)};
    if (w->users)
        ret_list[count++] = (struct ops_dependency){"backend", users_is_up(w->users)};
    return count;
}

static void on_free(void *state)
{
    struct frontend_worker *w = state;
    metrics_free(w->ops.metrics);
    buf_done(&w->body);
    free(w);
}

static int make_clients(struct frontend_worker *w, uv_loop_t *loop)
{
    const struct frontend_config *c = w->frontend->config;
    if (c->backend_url[0] != '\0') {
        int status = users_new(&(struct users_options){.loop = loop,
                                                       .url = c->backend_url,
                                                       .timeout_ms = (unsigned)c->fetch_timeout_ms,
                                                       .max_waiting = (unsigned)c->max_waiting,
                                                       .probe_ms = PROBE_MS,
                                                       .metrics = w->ops.metrics},
                               &w->users);
        if (status != 0)
            return status;
    }
    int status = visits_new(&(struct visits_options){.loop = loop,
                                                     .url = &c->redis,
                                                     .ca_file = c->redis_ca_file,
                                                     .timeout_ms = (unsigned)c->visit_timeout_ms,
                                                     .max_waiting = (unsigned)c->max_waiting,
                                                     .floor = &w->frontend->floor,
                                                     .metrics = w->ops.metrics},
                            &w->visits);
    if (status != 0)
        users_free(w->users);
    return status;
}

static int on_start(struct worker *worker, void *service, struct http_options *http,
                    void **ret_state)
{
    struct frontend *frontend = service;
    struct frontend_worker *w = xcalloc(1, sizeof(*w));
    w->frontend = frontend;
    w->ops = (struct ops){.service = "tally-frontend",
                          .version = frontend->config->release,
                          .worker = worker,
                          .metrics = metrics_new(frontend_metrics, FRONTEND_METRICS),
                          .log_requests = frontend->config->log_requests,
                          .on_dependencies = on_dependencies,
                          .ready_at_ms = uv_now(worker_loop(worker)) +
                                         (uint64_t)frontend->config->ready_wait_ms};
    int status = make_clients(w, worker_loop(worker));
    if (status != 0) {
        on_free(w);
        return status;
    }
    http->routes = routes;
    http->context = w;
    http->csp = page_csp();
    http->error_head = frontend->error_head;
    http->on_done = ops_log_request;
    http->on_library_message = ops_log_library_message;
    *ret_state = w;
    return 0;
}

static void on_turn(void *state)
{
    struct frontend_worker *w = state;
    ops_turn(&w->ops);
    visits_flush(w->visits);
    if (w->users)
        users_flush(w->users, visits_wait(w->visits));
}

static bool on_settle(void *state)
{
    struct frontend_worker *w = state;
    return visits_is_settled(w->visits);
}

static void on_stop(void *state)
{
    struct frontend_worker *w = state;
    visits_free(w->visits);
    users_free(w->users);
}

static void on_drain(void *service)
{
    (void)service;
    log_begin(LOG_INFO, "leaving");
    log_end();
}

static const struct worker_hooks hooks = {.on_start = on_start,
                                          .on_turn = on_turn,
                                          .on_settle = on_settle,
                                          .on_stop = on_stop,
                                          .on_free = on_free,
                                          .on_drain = on_drain};

static void log_start(const struct frontend_config *c)
{
    log_begin(LOG_INFO, "starting");
    log_text("version", ops_version(c->release));
    log_text("environment", c->environment_name);
    log_text("served_by", c->served_by);
    log_int("port", c->port);
    log_int("workers", c->workers);
    log_end();
}

static int run_workers(struct frontend *frontend)
{
    const struct frontend_config *c = frontend->config;
    struct worker_options options = {.workers = (unsigned)c->workers,
                                     .listen_address = c->listen_address,
                                     .port = (int)c->port,
                                     .max_connections = (unsigned)c->max_connections,
                                     .connection_timeout_s = (unsigned)c->connection_timeout_s,
                                     .drain_delay_ms = (unsigned)c->drain_delay_ms,
                                     .drain_timeout_ms = (unsigned)c->drain_timeout_ms,
                                     .hooks = &hooks,
                                     .service = frontend};
    char *reason = NULL;
    int status = worker_run_all(&options, &reason);
    log_begin(status == 0 ? LOG_INFO : LOG_ERROR, status == 0 ? "stopped" : "cannot start");
    log_text("reason", reason);
    log_end();
    free(reason);
    return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int service_run(const struct frontend_config *config)
{
    log_init("tally-frontend", (enum log_level)config->log_level);
    log_start(config);
    fetch_library_init();
    struct frontend frontend = {.config = config, .error_head = page_error_head()};
    frontend.page = page_new(&(struct page_options){.environment = config->environment_name,
                                                    .served_by = config->served_by,
                                                    .version = ops_version(config->release),
                                                    .with_users = config->backend_url[0] != '\0'});
    int status = run_workers(&frontend);
    page_free(frontend.page);
    free(frontend.error_head);
    fetch_library_done();
    return status;
}
