/* The HTTP server with requests that wait, limits that are reached, and leaving. */
#include "lib/http.h"

#include <check.h>
#include <string.h>
#include "tests/support/client.h"
#include "tests/support/stage.h"
#include "tests/support/suite.h"

#define HOST "Host: test\r\n"

/* Long enough for every waiting request to be parked. */
enum { PARKED_MS = 30 };

static struct stage stage;
static struct client client;

static void open_stage(void)
{
    stage_open(&stage, &(struct http_options){.park_after_ms = HTTP_PARK_AFTER_MS});
    client_open(&client, &stage.loop, stage.port);
}

static void close_stage(void)
{
    if (client.fd >= 0)
        client_close(&client);
    stage_close(&stage);
}

static void open_patient_stage(void)
{
    stage_open(&stage, &(struct http_options){.park_after_ms = 60000});
    client_open(&client, &stage.loop, stage.port);
}

static void open_narrow_stage(void)
{
    stage_open(&stage, &(struct http_options){.max_connections = 2, .connection_timeout_s = 1});
    client_open(&client, &stage.loop, stage.port);
}

START_TEST(pipelined_requests_wait_one_after_the_other)
{
    client_send(&client, "GET /wait HTTP/1.1\r\n" HOST "\r\nGET /wait HTTP/1.1\r\n" HOST "\r\n");
    stage_await_waits(&stage, 1);
    stage_pass(&stage, PARKED_MS);
    ck_assert_uint_eq(http_waiting(stage.http), 1);
    stage_answer(&stage);
    ck_assert_int_eq(client_read(&client), 200);
    stage_await_waits(&stage, 2);
    stage_answer(&stage);
    ck_assert_int_eq(client_read(&client), 200);
}
END_TEST

START_TEST(an_answer_may_come_before_parking)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    stage_answer(&stage);
    ck_assert_int_eq(client_read(&client), 200);
    ck_assert_str_eq(client.body, "waited");
    ck_assert_uint_eq(http_waiting(stage.http), 0);
}
END_TEST

START_TEST(an_answer_may_come_after_parking)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    stage_pass(&stage, PARKED_MS);
    ck_assert_uint_eq(http_waiting(stage.http), 1);
    stage_answer(&stage);
    ck_assert_int_eq(client_read(&client), 200);
    ck_assert_int_eq(client_get(&client, "/now", ""), 200);
}
END_TEST

START_TEST(a_waiting_request_does_not_spin_the_loop)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    ck_assert_uint_le(stage_pass(&stage, PARKED_MS), 20);
    ck_assert_uint_le(stage_pass(&stage, 200), 4);
    stage_answer(&stage);
    ck_assert_int_eq(client_read(&client), 200);
}
END_TEST

START_TEST(even_unparked_a_wait_does_not_spin_the_loop)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    ck_assert_uint_le(stage_pass(&stage, 200), 300);
    stage_answer(&stage);
    ck_assert_int_eq(client_read(&client), 200);
}
END_TEST

START_TEST(once_all_are_answered_nobody_wakes_the_loop)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    uv_run(&stage.loop, UV_RUN_NOWAIT); /* the timer of those who wait begins anew */
    stage_answer(&stage);
    while (stage.done == 0)
        uv_run(&stage.loop, UV_RUN_NOWAIT);
    ck_assert_int_gt(uv_backend_timeout(&stage.loop), 1000);
}
END_TEST

START_TEST(an_idle_connection_does_not_spin_the_loop)
{
    client_get(&client, "/now", "");
    stage_pass(&stage, PARKED_MS);
    ck_assert_uint_le(stage_pass(&stage, 200), 4);
}
END_TEST

START_TEST(a_vanished_client_is_noticed_while_it_waits)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    client_reset(&client);
    stage_await_gone(&stage, 1);
    stage_pass(&stage, PARKED_MS);
    ck_assert_uint_eq(stage.gone, 1);
    ck_assert_int_eq(stage.last_status, 499);
    ck_assert_uint_eq(http_waiting(stage.http), 0);
}
END_TEST

START_TEST(a_client_that_vanished_while_parked_is_harmless)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    stage_pass(&stage, PARKED_MS);
    client_reset(&client);
    stage_pass(&stage, PARKED_MS);
    stage_answer(&stage);
    stage_pass(&stage, PARKED_MS);
    ck_assert_uint_eq(stage.gone, 0);
    ck_assert_uint_eq(stage.done, 1);
    ck_assert(http_is_idle(stage.http));
}
END_TEST

START_TEST(a_client_that_vanishes_after_the_reply_is_harmless)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    stage_answer(&stage);
    client_reset(&client);
    stage_pass(&stage, PARKED_MS);
    ck_assert_uint_eq(stage.gone, 0);
    ck_assert_uint_eq(stage.done, 1);
}
END_TEST

START_TEST(a_route_without_on_gone_may_lose_its_client)
{
    client_ask(&client, "/dull", "");
    stage_await_waits(&stage, 1);
    client_reset(&client);
    stage_pass(&stage, PARKED_MS);
    ck_assert_uint_le(stage.done, 1);
}
END_TEST

START_TEST(waiting_requests_are_told_when_the_server_ends)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    if (_i)
        stage_pass(&stage, PARKED_MS);
    stage_close(&stage);
    ck_assert_uint_eq(stage.gone, 1);
    ck_assert_uint_eq(stage.done, 1);
    client_close(&client);
    open_stage();
}
END_TEST

START_TEST(many_clients_wait_together)
{
    struct client clients[20];
    for (int i = 0; i < 20; i++) {
        client_open(&clients[i], &stage.loop, stage.port);
        client_ask(&clients[i], "/wait", "");
    }
    stage_await_waits(&stage, 20);
    ck_assert_uint_eq(http_waiting(stage.http), 20);
    for (int i = 0; i < 20; i++)
        stage_answer(&stage);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(client_read(&clients[i]), 200);
        client_close(&clients[i]);
    }
}
END_TEST

START_TEST(beyond_the_limit_connections_wait_for_a_place)
{
    struct client second, third;
    client_get(&client, "/now", "");
    client_open(&second, &stage.loop, stage.port);
    client_get(&second, "/now", "");
    client_open(&third, &stage.loop, stage.port);
    client_ask(&third, "/now", "");
    ck_assert(client_hears_nothing(&third));
    client_close(&second);
    ck_assert_int_eq(client_read(&third), 200);
    client_close(&third);
}
END_TEST

START_TEST(an_idle_connection_times_out)
{
    client_get(&client, "/now", "");
    ck_assert(client_sees_end(&client));
}
END_TEST

START_TEST(without_patience_every_wait_is_parked)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    ck_assert_uint_le(stage_pass(&stage, 50), 4);
    stage_answer(&stage);
    ck_assert_int_eq(client_read(&client), 200);
}
END_TEST

START_TEST(draining_answers_close_their_connections)
{
    client_get(&client, "/now", "");
    http_drain(stage.http);
    ck_assert_int_eq(client_get(&client, "/now", ""), 200);
    client_assert_field(&client, "Connection", "close");
    ck_assert(client_sees_end(&client));
    client_close(&client);
    client_open(&client, &stage.loop, stage.port);
    ck_assert_int_eq(client_get(&client, "/now", ""), 200);
}
END_TEST

START_TEST(a_refusal_while_draining_says_close_once)
{
    http_drain(stage.http);
    client_send(&client, "GET /now HTTP/1.1\r\n\r\n");
    ck_assert_int_eq(client_read(&client), 400);
    client_assert_field(&client, "Connection", "close");
}
END_TEST

START_TEST(the_accept_queue_is_served_after_quiescing)
{
    struct client queued[5];
    client_get(&client, "/now", "");
    for (int i = 0; i < 5; i++) {
        client_open(&queued[i], &stage.loop, stage.port);
        client_ask(&queued[i], "/now", "");
    }
    http_quiesce(stage.http);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(client_read(&queued[i]), 200);
        client_close(&queued[i]);
    }
}
END_TEST

START_TEST(idle_means_nobody_waits_and_nobody_spoke_lately)
{
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    http_quiesce(stage.http);
    stage_pass(&stage, 600);
    ck_assert(!http_is_idle(stage.http));
    stage_answer(&stage);
    ck_assert_int_eq(client_read(&client), 200);
    ck_assert(client_sees_end(&client));
    ck_assert(http_is_idle(stage.http));
}
END_TEST

START_TEST(a_silent_connection_does_not_hold_the_drain)
{
    client_get(&client, "/now", "");
    http_quiesce(stage.http);
    ck_assert(!http_is_idle(stage.http));
    stage_pass(&stage, 600);
    ck_assert(http_is_idle(stage.http));
}
END_TEST

/* The stage's own deadlines, which say more, come first. */
static TCase *case_new(const char *name, SFun open_it)
{
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 20);
    tcase_add_checked_fixture(c, open_it, close_stage);
    return c;
}

static TCase *waits(void)
{
    TCase *c = case_new("waits", open_stage);
    tcase_add_test(c, pipelined_requests_wait_one_after_the_other);
    tcase_add_test(c, an_answer_may_come_after_parking);
    tcase_add_test(c, a_waiting_request_does_not_spin_the_loop);
    tcase_add_test(c, an_idle_connection_does_not_spin_the_loop);
    tcase_add_test(c, a_client_that_vanished_while_parked_is_harmless);
    tcase_add_test(c, a_client_that_vanishes_after_the_reply_is_harmless);
    tcase_add_test(c, a_route_without_on_gone_may_lose_its_client);
    tcase_add_loop_test(c, waiting_requests_are_told_when_the_server_ends, 0, 2);
    tcase_add_test(c, many_clients_wait_together);
    return c;
}

static TCase *patience(void)
{
    TCase *c = case_new("patience", open_patient_stage);
    tcase_add_test(c, an_answer_may_come_before_parking);
    tcase_add_test(c, a_vanished_client_is_noticed_while_it_waits);
    tcase_add_test(c, even_unparked_a_wait_does_not_spin_the_loop);
    tcase_add_test(c, once_all_are_answered_nobody_wakes_the_loop);
    return c;
}

static TCase *limits(void)
{
    TCase *c = case_new("limits", open_narrow_stage);
    tcase_add_test(c, beyond_the_limit_connections_wait_for_a_place);
    tcase_add_test(c, an_idle_connection_times_out);
    tcase_add_test(c, without_patience_every_wait_is_parked);
    return c;
}

static TCase *leaving(void)
{
    TCase *c = case_new("leaving", open_stage);
    tcase_add_test(c, draining_answers_close_their_connections);
    tcase_add_test(c, a_refusal_while_draining_says_close_once);
    tcase_add_test(c, the_accept_queue_is_served_after_quiescing);
    tcase_add_test(c, idle_means_nobody_waits_and_nobody_spoke_lately);
    tcase_add_test(c, a_silent_connection_does_not_hold_the_drain);
    return c;
}

int main(void)
{
    Suite *suite = suite_create("http_waiting");
    suite_add_tcase(suite, waits());
    suite_add_tcase(suite, patience());
    suite_add_tcase(suite, limits());
    suite_add_tcase(suite, leaving());
    return suite_run(suite);
}
