/* The HTTP server's answers: fields, HEAD, OPTIONS, errors, ids, metrics. */
#include "lib/http.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
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

START_TEST(every_answer_carries_the_common_fields)
{
    ck_assert_int_eq(client_get(&client, "/now", ""), 200);
    ck_assert_str_eq(client.body, "now");
    client_assert_field(&client, "Content-Type", "text/plain");
    client_assert_field(&client, "Content-Length", "3");
    client_assert_field(&client, "X-Content-Type-Options", "nosniff");
    client_assert_field(&client, "Content-Security-Policy", "default-src 'none'");
    client_assert_field(&client, "Cache-Control", "no-store");
    ck_assert_uint_eq(strlen(client_field(&client, "X-Request-Id")), 16);
    client_assert_no_field(&client, "Connection");
    client_assert_no_field(&client, "Vary");
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

START_TEST(an_answer_of_the_same_length_shows_nothing_of_the_one_before)
{
    static const char *const ids[] = {"first", "other", "longer", "again", "third", "x"};
    static const char *const echoes[] = {"first", "other", "third", "again", "and", "now"};
    for (int i = 0; i < 6; i++) {
        char fields[60];
        snprintf(fields, sizeof fields, "X-Request-Id: %s\r\nX-Echo: %s\r\n", ids[i], echoes[i]);
        ck_assert_int_eq(client_get(&client, "/echo", fields), 200);
        ck_assert_str_eq(client.body, echoes[i]);
        client_assert_field(&client, "X-Request-Id", ids[i]);
    }
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
    client_assert_field(&client, "Content-Type", "text/plain");
    client_assert_field(&client, "Cache-Control", "no-store");
    client_assert_no_field(&client, "Content-Length");
    client_assert_no_field(&client, "Transfer-Encoding");
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
    client_assert_field(&client, "Content-Type", preferences[_i].type);
    client_assert_field(&client, "Vary", "Accept");
}
END_TEST

static const char *const options_targets[] = {"/wait", "*"};

START_TEST(options_says_what_is_allowed)
{
    char request[100];
    snprintf(request, sizeof request, "OPTIONS %s HTTP/1.1\r\n" HOST "\r\n", options_targets[_i]);
    client_send(&client, request);
    ck_assert_int_eq(client_read(&client), 204);
    client_assert_field(&client, "Allow", "GET, HEAD, OPTIONS");
    ck_assert_uint_eq(stage.asked, 0);
    ck_assert_int_eq(client_get(&client, "/now", ""), 200);
}
END_TEST

START_TEST(a_reply_brings_its_own_fields)
{
    ck_assert_int_eq(client_get(&client, "/page?verbose", "Purpose: prefetch\r\n"), 200);
    client_assert_field(&client, "X-Visit", "unavailable");
    client_assert_field(&client, "Retry-After", "7");
    client_assert_field(&client, "Vary", "Accept");
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
    client_assert_field(&client, "X-Request-Id", "abc-1.2_Z");
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
    client_assert_field(&client, "Content-Type", "text/html; charset=utf-8");
    client_assert_field(&client, "Retry-After", "1");
    ck_assert_ptr_nonnull(strstr(client.body, "<h1>503 Service Unavailable</h1>"));
    ck_assert_ptr_nonnull(strstr(client.body, "Not &lt;now&gt;."));
    ck_assert_ptr_nonnull(strstr(client.body, client_field(&client, "X-Request-Id")));
}
END_TEST

START_TEST(an_error_is_a_problem_for_programs)
{
    ck_assert_int_eq(
        client_get(&client, "/fail", "Accept: application/json\r\nX-Request-Id: r1\r\n"), 503);
    client_assert_field(&client, "Content-Type", "application/problem+json");
    ck_assert_str_eq(client.body, "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\","
                                  "\"status\":503,\"detail\":\"Not <now>.\","
                                  "\"request_id\":\"r1\"}\n");
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
static TCase *case_new(const char *name, SFun open_it)
{
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 20);
    tcase_add_checked_fixture(c, open_it, close_stage);
    return c;
}

static TCase *answers(void)
{
    TCase *c = case_new("answers", open_stage);
    tcase_add_test(c, every_answer_carries_the_common_fields);
    tcase_add_test(c, a_connection_is_kept_alive);
    tcase_add_test(c, pipelined_requests_are_answered_in_order);
    tcase_add_test(c, an_answer_of_the_same_length_shows_nothing_of_the_one_before);
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

int main(void)
{
    Suite *suite = suite_create("http");
    suite_add_tcase(suite, answers());
    return suite_run(suite);
}
