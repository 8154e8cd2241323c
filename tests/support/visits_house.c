/* A visit counter, its guests and a scripted Redis on one loop. */
#include "tests/support/visits_house.h"
#include "frontend/metrics.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "tests/support/fake_redis.h"
#include "tests/support/loop.h"
#include <stdlib.h>

struct visits_house house;

static void on_number(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    struct house_guest *guest = CONTAINER_OF(waiter, struct house_guest, waiter);
    ck_assert((status == 0) == (result != NULL));
    guest->calls++;
    guest->status = status;
    guest->number = result ? visits_number(index, result) : 0;
}

static void on_total(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    struct house_guest *guest = CONTAINER_OF(waiter, struct house_guest, waiter);
    (void)index;
    guest->calls++;
    guest->status = status;
    guest->number = result ? visits_total(result) : 0;
}

static void on_turn(uv_prepare_t *prepare)
{
    (void)prepare;
    visits_flush(house.visits);
}

void house_start(void)
{
    struct visits_options options = {.loop = &house.loop,
                                     .url = &house.url,
                                     .timeout_ms = HOUSE_TIMEOUT_MS,
                                     .max_waiting = HOUSE_MAX_WAITING,
                                     .floor = &house.floor_seen,
                                     .metrics = house.metrics};
    ck_assert_int_eq(visits_new(&options, &house.visits), 0);
    ck_assert_int_eq(uv_prepare_start(&house.turn, on_turn), 0);
}

void house_start_up(void)
{
    house_start();
    loop_wait(&house.loop, visits_is_up(house.visits));
    ck_assert_int_eq(metrics_value(house.metrics, REDIS_UP), 1);
}

int house_join(int guest)
{
    house.guests[guest] = (struct house_guest){.waiter.on_done = on_number};
    return visits_join(house.visits, &house.guests[guest].waiter);
}

int house_join_total(int guest)
{
    house.guests[guest] = (struct house_guest){.waiter.on_done = on_total};
    return visits_join_total(house.visits, &house.guests[guest].waiter);
}

void house_join_all(int first, int last)
{
    for (int i = first; i <= last; i++)
        ck_assert_int_eq(house_join(i), 0);
}

void house_wait_for(int guest)
{
    loop_wait(&house.loop, house.guests[guest].calls == 1);
}

void assert_number(int guest, int64_t number)
{
    ck_assert_uint_eq(house.guests[guest].calls, 1);
    ck_assert_int_eq(house.guests[guest].status, 0);
    ck_assert_int_eq(house.guests[guest].number, number);
}

void assert_failed(int guest, int status)
{
    ck_assert_uint_eq(house.guests[guest].calls, 1);
    ck_assert_int_eq(house.guests[guest].status, status);
}

void house_begin(void)
{
    log_init("test", LOG_ERROR + 1);
    ck_assert_int_eq(uv_loop_init(&house.loop), 0);
    ck_assert_int_eq(uv_prepare_init(&house.loop, &house.turn), 0);
    house.server = fake_redis_new(&house.loop);
    house.metrics = metrics_new(frontend_metrics, FRONTEND_METRICS);
    char *text = xasprintf("redis://127.0.0.1:%d/0", fake_server_port(house.server));
    ck_assert_ptr_null(url_parse(text, &house.url));
    free(text);
}

void house_end(void)
{
    uv_close((uv_handle_t *)&house.turn, NULL);
    visits_free(house.visits);
    fake_server_free(house.server);
    loop_end(&house.loop);
    url_done(&house.url);
    metrics_free(house.metrics);
    uv_library_shutdown();
}
