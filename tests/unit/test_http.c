/* The HTTP server: answers, waits, refusals, limits, leaving. */
#include "lib/http.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/buf.h"
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

static void assert_field(const char *name, const char *value)
{
    const char *found = client_field(&client, name);
    ck_assert_msg(found != NULL, "no field %s in %s", name, client.head);
    ck_assert_str_eq(found, value);
}

static void assert_no_field(const char *name)
{
    ck_assert_msg(client_field(&client, name) == NULL, "%s in %s", name, client.head);
}

START_TEST(every_answer_carries_the_common_fields)
{
    ck_assert_int_eq(client_get(&client, "/now", ""), 200);
    ck_assert_str_eq(client.body, "now");
    assert_field("Content-Type", "text/plain");
    assert_field("Content-Length", "3");
    assert_field("X-Content-Type-Options", "nosniff");
    assert_field("Content-Security-Policy", "default-src 'none'");
    assert_field("Cache-Control", "no-store");
    ck_assert_uint_eq(strlen(client_field(&client, "X-Request-Id")), 16);
    assert_no_field("Connection");
    assert_no_field("Vary");
}
END_TEST

START_TEST(a_connection_is_kept_alive)
{
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(client_get(&client, "/now", ""), 200);
    ck_assert_uint_eq(stage.done, 50);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    client_send(&client, "GET /now HTTP/1.1\r\n" HOST "\r\nGET /fail HTTP/1.1\r\n" HOST
                         "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(client_read(&client), 200);
    ck_assert_int_eq(client_read(&client), 503);
    ck_assert_int_eq(client_read(&client), 200);
}
END_TEST

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

START_TEST(a_request_line_may_come_byte_by_byte)
{
    const char *request = "GET /now HTTP/1.1\r\n" HOST "\r\n";
    for (const char *byte = request; *byte; byte++) {
        client_send(&client, (char[]){*byte, '\0'});
        uv_run(&stage.loop, UV_RUN_NOWAIT);
    }
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

START_TEST(a_big_answer_arrives_whole)
{
    ck_assert_int_eq(client_get(&client, "/big", ""), 200);
    ck_assert_uint_eq(client.body_length, 1 << 20);
    ck_assert_int_eq(client_get(&client, "/now", ""), 200);
}
END_TEST

START_TEST(a_slow_reader_stops_nobody_else)
{
    struct client other;
    for (int i = 0; i < 8; i++)
        client_ask(&client, "/big", "");
    stage_pass(&stage, PARKED_MS);
    client_open(&other, &stage.loop, stage.port);
    ck_assert_int_eq(client_get(&other, "/now", ""), 200);
    ck_assert(!http_is_idle(stage.http));
    client_close(&other);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(client_read(&client), 200);
}
END_TEST

START_TEST(head_says_what_get_would_and_asks_no_handler)
{
    client_send(&client, "HEAD /wait HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(client_read_head(&client), 200);
    assert_field("Content-Type", "text/plain");
    assert_field("Cache-Control", "no-store");
    assert_no_field("Content-Length");
    assert_no_field("Transfer-Encoding");
    ck_assert_uint_eq(stage.asked, 0);
    ck_assert_uint_eq(stage.done, 1);
    ck_assert_str_eq(stage.last_method, "HEAD");
}
END_TEST

static const struct {
    const char *accept, *type;
} preferences[] = {
    {"", "text/html; charset=utf-8"},
    {"Accept: */*\r\n", "text/html; charset=utf-8"},
    {"Accept: application/json\r\n", "application/json"},
};

START_TEST(head_negotiates_as_get_does)
{
    char request[200];
    snprintf(request, sizeof request, "HEAD /page HTTP/1.1\r\n" HOST "%s\r\n",
             preferences[_i].accept);
    client_send(&client, request);
    ck_assert_int_eq(client_read_head(&client), 200);
    assert_field("Content-Type", preferences[_i].type);
    assert_field("Vary", "Accept");
}
END_TEST

static const char *const options_targets[] = {"/wait", "*"};

START_TEST(options_says_what_is_allowed)
{
    char request[100];
    snprintf(request, sizeof request, "OPTIONS %s HTTP/1.1\r\n" HOST "\r\n", options_targets[_i]);
    client_send(&client, request);
    ck_assert_int_eq(client_read(&client), 204);
    assert_field("Allow", "GET, HEAD, OPTIONS");
    ck_assert_uint_eq(stage.asked, 0);
    ck_assert_int_eq(client_get(&client, "/now", ""), 200);
}
END_TEST

START_TEST(a_reply_brings_its_own_fields)
{
    ck_assert_int_eq(client_get(&client, "/page?verbose", "Purpose: prefetch\r\n"), 200);
    assert_field("X-Visit", "unavailable");
    assert_field("Retry-After", "7");
    assert_field("Vary", "Accept");
    ck_assert_msg(strncmp(client.body, "html prefetch verbose 00-", 25) == 0, "%s", client.body);
    ck_assert_int_eq(client_get(&client, "/page?verbosely", "Accept: application/json\r\n"), 200);
    ck_assert_msg(strncmp(client.body, "json 00-", 8) == 0, "%s", client.body);
}
END_TEST

START_TEST(a_handler_reads_the_header_fields)
{
    client_get(&client, "/echo", "X-Echo: hello\r\n");
    ck_assert_str_eq(client.body, "hello");
    client_get(&client, "/echo", "");
    ck_assert_str_eq(client.body, "absent");
}
END_TEST

START_TEST(the_library_complains_in_single_lines)
{
    client_send(&client, "GET /now HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n");
    ck_assert_int_eq(client_read(&client), 400);
    ck_assert_uint_ge(stage.complaints, 1);
    ck_assert_uint_gt(strlen(stage.last_complaint), 10);
    ck_assert_ptr_null(strchr(stage.last_complaint, '\n'));
}
END_TEST

static const struct {
    const char *path;
    int error;
} no_sockets[] = {{NULL, UV_EBADF}, {"/dev/null", UV_ENOMEM}};

START_TEST(a_server_needs_a_socket)
{
    struct http *http = NULL;
    int fd = no_sockets[_i].path ? open(no_sockets[_i].path, O_RDWR) : -1;
    struct http_options options = {.loop = &stage.loop,
                                   .listen_fd = fd,
                                   .routes = &(struct http_route){0},
                                   .max_connections = 10};
    ck_assert_int_eq(http_new(&options, &http), no_sockets[_i].error);
    ck_assert_ptr_null(http);
    if (fd >= 0)
        close(fd);
}
END_TEST

START_TEST(a_valid_request_id_and_trace_are_taken_over)
{
    const char *trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    char fields[200];
    snprintf(fields, sizeof fields, "x-request-id: abc-1.2_Z\r\nTraceparent: %s\r\n", trace);
    ck_assert_int_eq(client_get(&client, "/page", fields), 200);
    assert_field("X-Request-Id", "abc-1.2_Z");
    ck_assert_str_eq(client.body + strlen("html "), trace);
    ck_assert_str_eq(stage.last_id, "abc-1.2_Z");
    ck_assert_str_eq(stage.last_trace, "0af7651916cd43dd8448eb211c80319c");
}
END_TEST

START_TEST(an_invalid_request_id_or_trace_is_made_anew)
{
    ck_assert_int_eq(
        client_get(&client, "/page", "X-Request-Id: a b\"<>\r\ntraceparent: 00-zz-zz-01\r\n"), 200);
    ck_assert_uint_eq(strlen(client_field(&client, "X-Request-Id")), 16);
    ck_assert_uint_eq(strlen(client.body), strlen("html ") + 55);
    ck_assert_uint_eq(strspn(stage.last_trace, "0123456789abcdef"), 32);
}
END_TEST

START_TEST(ids_differ)
{
    char first[32];
    client_get(&client, "/now", "");
    snprintf(first, sizeof first, "%s", client_field(&client, "X-Request-Id"));
    client_get(&client, "/now", "");
    ck_assert_str_ne(first, client_field(&client, "X-Request-Id"));
}
END_TEST

START_TEST(an_error_is_a_page_for_browsers)
{
    ck_assert_int_eq(client_get(&client, "/fail", "Accept: text/html\r\n"), 503);
    assert_field("Content-Type", "text/html; charset=utf-8");
    assert_field("Retry-After", "1");
    ck_assert_ptr_nonnull(strstr(client.body, "<h1>503 Service Unavailable</h1>"));
    ck_assert_ptr_nonnull(strstr(client.body, "Not &lt;now&gt;."));
    ck_assert_ptr_nonnull(strstr(client.body, client_field(&client, "X-Request-Id")));
}
END_TEST

START_TEST(an_error_is_a_problem_for_programs)
{
    ck_assert_int_eq(
        client_get(&client, "/fail", "Accept: application/json\r\nX-Request-Id: r1\r\n"), 503);
    assert_field("Content-Type", "application/problem+json");
    ck_assert_str_eq(client.body, "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\","
                                  "\"status\":503,\"detail\":\"Not <now>.\","
                                  "\"request_id\":\"r1\"}\n");
}
END_TEST

/* What is asked, and what must come of it; afterwards the connection is kept or closed. */
static const struct {
    const char *request;
    int status;
    bool kept;
} requests[] = {
    {"GET /now HTTP/1.1\r\n" HOST "\r\n", 200, true},
    {"GET /now HTTP/1.0\r\n\r\n", 200, false},
    {"GET /now HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 200, false},
    {"GET /now HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 200, true},
    {"GET /now?a=1&b HTTP/1.1\r\n" HOST "\r\n", 200, true},
    {"GET /no%77 HTTP/1.1\r\n" HOST "\r\n", 200, true},
    {"GET / HTTP/1.1\r\n" HOST "\r\n", 404, true},
    {"GET /now/ HTTP/1.1\r\n" HOST "\r\n", 404, true},
    {"GET /../now HTTP/1.1\r\n" HOST "\r\n", 404, true},
    {"GET /NOW HTTP/1.1\r\n" HOST "\r\n", 404, true},
    {"HEAD /nothing HTTP/1.0\r\n\r\n", 404, false},
    {"OPTIONS /nothing HTTP/1.1\r\n" HOST "\r\n", 404, true},
    {"POST /now HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 405, true},
    {"DELETE /now HTTP/1.1\r\n" HOST "\r\n", 405, true},
    {"BREW /now HTTP/1.1\r\n" HOST "\r\n", 405, true},
    {"get /now HTTP/1.1\r\n" HOST "\r\n", 405, true},
    {"POST /now HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 405, false},
    {"GET /now HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 413, false},
    {"GET /now HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n", 413, false},
    {"GET /now HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413, false},
    {"GET /now HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 413, false},
    {"GET /now HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n",
     400, false},
    {"GET /now HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400, false},
    {"GET /now HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello", 400,
     false},
    {"GET /now HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400, false},
    {"GET /now HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400, false},
    {"GET /now HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nhello", 400, false},
    {"GET /now HTTP/1.1\r\n\r\n", 400, false},
    {"GET /now HTTP/1.1\r\n" HOST "Host: other\r\n\r\n", 400, false},
    {"GET /now /wait HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"GET /now\t HTTP/1.1\r\n" HOST "\r\n", 400, false},
};

START_TEST(requests_get_the_answer_they_deserve)
{
    client_send(&client, requests[_i].request);
    ck_assert_int_eq(strncmp(requests[_i].request, "HEAD", 4) ? client_read(&client)
                                                              : client_read_head(&client),
                     requests[_i].status);
    if (requests[_i].status == 405)
        assert_field("Allow", "GET, HEAD, OPTIONS");
    if (requests[_i].kept) {
        assert_no_field("Connection");
        ck_assert_int_eq(client_get(&client, "/now", ""), 200);
        return;
    }
    assert_field("Connection", "close");
    client_sees_end(&client);
    ck_assert_ptr_null(strstr(client.bytes, "HTTP/1.1 200"));
}
END_TEST

/* Whatever libmicrohttpd itself makes of these: an error or an end, and the server lives on. */
static const char *const garbage[] = {
    "\r\n\r\n\r\n",
    "GET\r\n\r\n",
    "GET /now\r\n\r\n",
    "GET /now HTTP/9.9\r\n" HOST "\r\n",
    "GET /now HTTP/1.1\n" HOST "\n",
    "GET /now HTTP/1.1\r\nHost test\r\n\r\n",
    "GET /now HTTP/1.1\r\n" HOST " folded\r\n\r\n",
    "GET /now HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n",
    "GET /now HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n",
    "GET /%00now HTTP/1.1\r\n" HOST "\r\n",
    "GET /now\x01\x7f\xff HTTP/1.1\r\n" HOST "\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET /now HTTP/1.1\r\n" HOST "X: \x01\x02\r\n: empty\r\n\r\n",
};

START_TEST(garbage_harms_nobody_else)
{
    struct client other;
    client_send(&client, garbage[_i]);
    stage_pass(&stage, PARKED_MS);
    client_open(&other, &stage.loop, stage.port);
    ck_assert_int_eq(client_get(&other, "/now", ""), 200);
    client_close(&other);
}
END_TEST

static char *long_request(const char *before, size_t fill, const char *after)
{
    struct buf text = {0};
    buf_puts(&text, before);
    for (size_t i = 0; i < fill; i++)
        buf_append(&text, "a", 1);
    buf_puts(&text, after);
    return buf_take(&text, NULL);
}

static const struct {
    const char *before;
    size_t fill;
    const char *after;
    int status;
} long_requests[] = {
    {"GET /now?", 2048 - 5, " HTTP/1.1\r\n" HOST "\r\n", 200},
    {"GET /now?", 2049 - 5, " HTTP/1.1\r\n" HOST "\r\n", 414},
    {"GET /now?", 60000, " HTTP/1.1\r\n" HOST "\r\n", 414},
    {"GET /now HTTP/1.1\r\n" HOST "X-Long: ", 8000, "\r\n\r\n", 200},
    {"GET /now HTTP/1.1\r\n" HOST "X-Long: ", 8192, "\r\n\r\n", 431},
    {"GET /now HTTP/1.1\r\n" HOST "Cookie: ", 60000, "\r\n\r\n", 431},
};

START_TEST(what_is_too_long_is_refused)
{
    char *request =
        long_request(long_requests[_i].before, long_requests[_i].fill, long_requests[_i].after);
    client_send(&client, request);
    free(request);
    ck_assert_int_eq(client_read(&client), long_requests[_i].status);
    if (long_requests[_i].status != 200)
        assert_field("Connection", "close");
}
END_TEST

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
    assert_field("Connection", "close");
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
    assert_field("Connection", "close");
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

START_TEST(metrics_tell_route_method_and_status)
{
    struct buf text = {0};
    client_get(&client, "/now", "");
    client_get(&client, "/secret/path", "");
    client_send(&client, "BREW /now HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client);
    client_ask(&client, "/wait", "");
    stage_await_waits(&stage, 1);
    http_write_metrics(&text, &stage.http, 1);
    const char *const lines[] = {
        "tally_http_request_duration_seconds_count{method=\"GET\",route=\"/now\",status=\"200\"} 1",
        "_count{method=\"GET\",route=\"other\",status=\"404\"} 1",
        "_count{method=\"other\",route=\"/now\",status=\"405\"} 1",
        "tally_http_requests_waiting 1\n",
        "tally_http_connections 1\n",
        "tally_limit_hits_total{limit=\"max_connections\"} 0\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(strstr(text.data, lines[i]) != NULL, "no %s in %s", lines[i], text.data);
    ck_assert_ptr_null(strstr(text.data, "secret"));
    buf_done(&text);
    stage_answer(&stage);
    ck_assert_int_eq(client_read(&client), 200);
}
END_TEST

START_TEST(metrics_of_no_server_are_empty)
{
    struct buf text = {0};
    http_write_metrics(&text, NULL, 0);
    ck_assert_uint_eq(text.length, 0);
    buf_done(&text);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* The stage's own deadlines, which say more, come first. */
static TCase *case_new(const char *name)
{
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 20);
    return c;
}

static TCase *answers(void)
{
    TCase *c = case_new("answers");
    tcase_add_checked_fixture(c, open_stage, close_stage);
    tcase_add_test(c, every_answer_carries_the_common_fields);
    tcase_add_test(c, a_connection_is_kept_alive);
    tcase_add_test(c, pipelined_requests_are_answered_in_order);
    tcase_add_test(c, a_request_line_may_come_byte_by_byte);
    tcase_add_test(c, a_big_answer_arrives_whole);
    tcase_add_test(c, a_slow_reader_stops_nobody_else);
    tcase_add_test(c, head_says_what_get_would_and_asks_no_handler);
    tcase_add_loop_test(c, head_negotiates_as_get_does, 0, COUNT(preferences));
    tcase_add_loop_test(c, options_says_what_is_allowed, 0, COUNT(options_targets));
    tcase_add_test(c, a_reply_brings_its_own_fields);
    tcase_add_test(c, a_valid_request_id_and_trace_are_taken_over);
    tcase_add_test(c, an_invalid_request_id_or_trace_is_made_anew);
    tcase_add_test(c, a_handler_reads_the_header_fields);
    tcase_add_test(c, the_library_complains_in_single_lines);
    tcase_add_loop_test(c, a_server_needs_a_socket, 0, COUNT(no_sockets));
    tcase_add_test(c, ids_differ);
    tcase_add_test(c, an_error_is_a_page_for_browsers);
    tcase_add_test(c, an_error_is_a_problem_for_programs);
    tcase_add_test(c, metrics_tell_route_method_and_status);
    tcase_add_test(c, metrics_of_no_server_are_empty);
    return c;
}

static TCase *waits(void)
{
    TCase *c = case_new("waits");
    tcase_add_checked_fixture(c, open_stage, close_stage);
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
    TCase *c = case_new("patience");
    tcase_add_checked_fixture(c, open_patient_stage, close_stage);
    tcase_add_test(c, an_answer_may_come_before_parking);
    tcase_add_test(c, a_vanished_client_is_noticed_while_it_waits);
    tcase_add_test(c, even_unparked_a_wait_does_not_spin_the_loop);
    return c;
}

static TCase *refusals(void)
{
    TCase *c = case_new("refusals");
    tcase_add_checked_fixture(c, open_stage, close_stage);
    tcase_add_loop_test(c, requests_get_the_answer_they_deserve, 0, COUNT(requests));
    tcase_add_loop_test(c, garbage_harms_nobody_else, 0, COUNT(garbage));
    tcase_add_loop_test(c, what_is_too_long_is_refused, 0, COUNT(long_requests));
    return c;
}

static TCase *limits(void)
{
    TCase *c = case_new("limits");
    tcase_add_checked_fixture(c, open_narrow_stage, close_stage);
    tcase_add_test(c, beyond_the_limit_connections_wait_for_a_place);
    tcase_add_test(c, an_idle_connection_times_out);
    tcase_add_test(c, without_patience_every_wait_is_parked);
    return c;
}

static TCase *leaving(void)
{
    TCase *c = case_new("leaving");
    tcase_add_checked_fixture(c, open_stage, close_stage);
    tcase_add_test(c, draining_answers_close_their_connections);
    tcase_add_test(c, a_refusal_while_draining_says_close_once);
    tcase_add_test(c, the_accept_queue_is_served_after_quiescing);
    tcase_add_test(c, idle_means_nobody_waits_and_nobody_spoke_lately);
    tcase_add_test(c, a_silent_connection_does_not_hold_the_drain);
    return c;
}

int main(void)
{
    Suite *suite = suite_create("http");
    suite_add_tcase(suite, answers());
    suite_add_tcase(suite, waits());
    suite_add_tcase(suite, patience());
    suite_add_tcase(suite, refusals());
    suite_add_tcase(suite, limits());
    suite_add_tcase(suite, leaving());
    return suite_run(suite);
}
