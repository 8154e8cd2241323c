/* Shared reads on a loop, with a real MariaDB behind them. */
#include "tests/support/reads_stage.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/database_uri.h"
#include "backend/metrics.h"
#include "backend/reads.h"
#include "lib/mem.h"
#include "tests/support/net.h"

enum { PATIENCE_MS = 20000 };

struct reads_stage stage;

static char *directory;
static struct database database;
static uv_prepare_t turn;
static uv_timer_t patience;
static struct metrics *metrics;

void reads_stage_start_server(void)
{
    directory = directory_new("reads");
    stage.server = mariadb_new(directory);
}

void reads_stage_stop_server(void)
{
    mariadb_free(stage.server);
    free(directory);
}

void reads_stage_fill(void)
{
    mariadb_run(stage.server, "DROP TABLE IF EXISTS users;"
                              "CREATE TABLE users (id BIGINT AUTO_INCREMENT PRIMARY KEY,"
                              " userName VARCHAR(255) NOT NULL) CHARACTER SET utf8mb4;"
                              "INSERT INTO users (userName) VALUES ('Bob')");
}

static void on_state(bool up, const char *reason, void *context)
{
    ck_assert_ptr_eq(context, &stage.loop);
    stage.ups += up;
    stage.downs += !up;
    snprintf(stage.reason, sizeof stage.reason, "%s", up ? "" : reason);
}

static void on_turn(uv_prepare_t *prepare)
{
    (void)prepare;
    reads_flush(stage.reads);
}

static void on_patience(uv_timer_t *timer)
{
    (void)timer;
    ck_abort_msg("what was waited for did not happen; last reason: %s", stage.reason);
}

void reads_stage_open(unsigned pool_size, unsigned timeout_s)
{
    store_library_init();
    ck_assert_ptr_null(database_uri_parse(stage.server->uri, &database));
    database.ca_file = "";
    metrics = metrics_new(backend_metrics, BACKEND_METRICS);
    ck_assert_int_eq(uv_loop_init(&stage.loop), 0);
    uv_prepare_init(&stage.loop, &turn);
    uv_prepare_start(&turn, on_turn);
    uv_timer_init(&stage.loop, &patience);
    uv_timer_start(&patience, on_patience, PATIENCE_MS, 0);
    struct reads_options o = {.loop = &stage.loop,
                              .database = &database,
                              .pool_size = pool_size,
                              .timeout_s = timeout_s,
                              .max_waiting = READS_STAGE_WAITING,
                              .max_users = READS_STAGE_USERS,
                              .metrics = metrics,
                              .on_state = on_state,
                              .context = &stage.loop};
    stage.reads = reads_new(&o);
}

void reads_stage_wait_up(void)
{
    while (!reads_is_up(stage.reads))
        uv_run(&stage.loop, UV_RUN_ONCE);
}

void reads_stage_open_up(unsigned pool_size, unsigned timeout_s)
{
    reads_stage_fill();
    reads_stage_open(pool_size, timeout_s);
    reads_stage_wait_up();
}

void reads_stage_close(void)
{
    reads_free(stage.reads);
    uv_close((uv_handle_t *)&turn, NULL);
    uv_close((uv_handle_t *)&patience, NULL);
    uv_run(&stage.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&stage.loop), 0);
    metrics_free(metrics);
    database_done(&database);
    store_library_done();
}

static void on_done(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)index;
    struct visitor *v = CONTAINER_OF(waiter, struct visitor, waiter);
    size_t length = 0;
    v->answers++;
    v->status = status;
    v->body = status ? NULL : xstrdup(reads_body(result, &length));
    ck_assert_uint_eq(length, v->body ? strlen(v->body) : 0);
}

struct visitor visitor(void)
{
    return (struct visitor){.waiter = {.on_done = on_done}};
}

void visitor_join(struct visitor *v)
{
    ck_assert_int_eq(reads_join(stage.reads, &v->waiter), 0);
}

void visitor_wait(const struct visitor *v)
{
    while (!v->answers)
        uv_run(&stage.loop, UV_RUN_ONCE);
    ck_assert_int_eq(v->answers, 1);
}

/* Joins, now or as soon as a connection may be tried, and waits for the end. */
int visitor_visit(const char *expected)
{
    struct visitor v = visitor();
    int status;
    while ((status = reads_join(stage.reads, &v.waiter)) == UV_ENOTCONN)
        uv_run(&stage.loop, UV_RUN_ONCE);
    ck_assert_int_eq(status, 0);
    visitor_wait(&v);
    if (v.status == 0)
        ck_assert_str_eq(v.body, expected);
    free(v.body);
    return v.status;
}

uint64_t reads_stage_metric(size_t id)
{
    return metrics_value(metrics, id);
}
