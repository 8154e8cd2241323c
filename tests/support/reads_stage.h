/* Shared reads on a loop, with a real MariaDB behind them: the stage for their tests. */
#pragma once

#include <stdint.h>
#include <uv.h>
#include "backend/store.h"
#include "lib/batch.h"
#include "tests/support/mariadb.h"

/* DESIGN. Test and reads share one thread: every wait turns the loop, and fails the test when what
 * it waits for does not come. reads_stage_close fails it unless the loop closes clean. */
enum { READS_STAGE_WAITING = 3, READS_STAGE_USERS = 2 };

/* What the stage's one user makes. */
#define BOB "[{\"userName\":\"Bob\"}]\n"

struct visitor {
    struct batch_waiter waiter;
    int answers, status;
    char *body; /* the test frees it */
};

struct reads_stage {
    uv_loop_t loop;
    struct reads *reads;
    struct mariadb *server;
    int ups, downs;            /* as on_state said */
    char reason[STORE_REASON]; /* of the last down */
};

extern struct reads_stage stage;

/* Fixtures: a server of the test's own, with Bob in it after reads_stage_fill. */
void reads_stage_start_server(void);
void reads_stage_stop_server(void);
void reads_stage_fill(void);

void reads_stage_open(unsigned pool_size, unsigned timeout_s);
/* fill, open and wait_up. */
void reads_stage_open_up(unsigned pool_size, unsigned timeout_s);
void reads_stage_close(void);
void reads_stage_wait_up(void);

struct visitor visitor(void);
void visitor_join(struct visitor *v);
void visitor_wait(const struct visitor *v);
/* Joins, now or as soon as a connection may be tried; the status, after a look at the body. */
int visitor_visit(const char *expected);
uint64_t reads_stage_metric(size_t id);
