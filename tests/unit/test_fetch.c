/* HTTP GET against a scripted server: answers whole, wrong, late, half, never; ends. */
#include "lib/fetch.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "tests/support/fake_http.h"
#include "tests/support/loop.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 300, MAX_BODY = 1000 };
#define HEAD "HTTP/1.1 200 OK\r\n"

static uv_loop_t loop;
static struct fake_server *server;
static struct fetch *fetch;
static unsigned answers;
static int last_status;
static char *last_body, *last_reason;

static void on_done(void *arg, int status, const char *body, size_t length, const char *reason)
{
    ck_assert_ptr_eq(arg, &loop);
    ck_assert((status == 0) == (body != NULL));
    answers++;
    last_status = status;
    free(last_body);
    free(last_reason);
    last_body = body ? xstrndup(body, length) : NULL;
    last_reason = xstrdup(reason);
}

static void open_url(const char *form)
{
    char *url = xasprintf(form, fake_server_port(server));
    struct fetch_options options = {
        .loop = &loop, .url = url, .timeout_ms = TIMEOUT_MS, .max_body = MAX_BODY};
    ck_assert_int_eq(fetch_new(&options, &fetch), 0);
    free(url);
}

static void get(void)
{
    unsigned before = answers;
    ck_assert_int_eq(fetch_get(fetch, NULL, NULL, on_done, &loop), 0);
    ck_assert_uint_eq(answers, before);
}

static void get_and_wait(void)
{
    unsigned before = answers;
    get();
    loop_wait(&loop, answers == before + 1);
}

static void set_up(void)
{
    fetch_library_init();
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    server = fake_http_new(&loop);
    open_url("http://127.0.0.1:%d/backend");
}

static void tear_down(void)
{
    fetch_free(fetch);
    fake_server_free(server);
    loop_end(&loop);
    free(last_body);
    free(last_reason);
    fetch_library_done();
    uv_library_shutdown();
}

static const struct {
    const char *reply, *body;
} GOOD[] = {
    {HEAD "Content-Length: 3\r\n\r\nabc", "abc"},
    {HEAD "Content-Length: 0\r\n\r\n", ""},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
    {"HTTP/1.1 100 Continue\r\n\r\n" HEAD "Content-Length: 1\r\n\r\nx", "x"},
};

START_TEST(a_whole_answer_is_handed_over)
{
    fake_http_expect(server, "GET /backend HTTP/1.1|*", GOOD[_i].reply);
    get_and_wait();
    ck_assert_int_eq(last_status, 0);
    ck_assert_str_eq(last_body, GOOD[_i].body);
    ck_assert_str_eq(last_reason, "");
}
END_TEST

START_TEST(an_answer_may_end_with_the_connection)
{
    fake_http_expect_hang_up(server, "*", "HTTP/1.0 200 OK\r\n\r\nall of it");
    get_and_wait();
    ck_assert_int_eq(last_status, 0);
    ck_assert_str_eq(last_body, "all of it");
}
END_TEST

START_TEST(no_proxy_of_the_environment_is_asked)
{
    ck_assert_int_eq(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    ck_assert_int_eq(setenv("no_proxy", "elsewhere", 1), 0);
    fake_http_expect_ok(server, "GET /backend HTTP/1.1|*", "[]");
    get_and_wait();
    ck_assert_int_eq(last_status, 0);
    unsetenv("http_proxy");
    unsetenv("no_proxy");
}
END_TEST

START_TEST(the_connection_is_kept)
{
    for (int i = 0; i < 3; i++) {
        fake_http_expect_ok(server, "*", "[]");
        get_and_wait();
        ck_assert_int_eq(last_status, 0);
    }
    ck_assert_uint_eq(fake_server_accepted(server), 1);
}
END_TEST

START_TEST(a_kept_connection_that_was_closed_is_replaced)
{
    fake_http_expect_ok(server, "*", "1");
    get_and_wait();
    fake_server_hang_up(server);
    fake_http_expect_ok(server, "*", "2");
    get_and_wait();
    ck_assert_int_eq(last_status, 0);
    ck_assert_str_eq(last_body, "2");
}
END_TEST

START_TEST(ids_are_sent_along)
{
    fake_http_expect_ok(server, "*|X-Request-Id: abc|traceparent: 00-1-2-01|*", "");
    ck_assert_int_eq(fetch_get(fetch, "abc", "00-1-2-01", on_done, &loop), 0);
    loop_wait(&loop, answers == 1);
    fake_http_expect_ok(server, "*", "");
    get_and_wait();
    const char *second = strstr(fake_server_heard(server) + 1, "GET ");
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_null(strstr(second, "X-Request-Id"));
    ck_assert_ptr_null(strstr(second, "traceparent"));
}
END_TEST

static const struct {
    const char *reply;
    enum fake_then then;
    int status;
    const char *reason; /* a part of it */
} BAD[] = {
    {"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", FAKE_STAY, UV_EPROTO, "HTTP status 503"},
    {"HTTP/1.1 204 No Content\r\n\r\n", FAKE_STAY, UV_EPROTO, "HTTP status 204"},
    {"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", FAKE_STAY, UV_EPROTO,
     "HTTP status 302"},
    {"garbage\r\n\r\n", FAKE_HANG_UP, UV_EPROTO, "HTTP/0.9"},
    {"+PONG\r\n", FAKE_HANG_UP, UV_EPROTO, ""},
    {HEAD "Content-Length: -1\r\n\r\n", FAKE_HANG_UP, UV_EPROTO, ""},
    {HEAD "Content-Length: 99999999999999999999\r\n\r\nx", FAKE_STAY, UV_E2BIG, "1000 bytes"},
    {HEAD "Content-Length: 1001\r\n\r\nx", FAKE_STAY, UV_E2BIG, "1000 bytes"},
    {HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n", FAKE_HANG_UP, UV_ECONNRESET, ""},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nab", FAKE_HANG_UP, UV_ECONNRESET, ""},
    {HEAD "Content-Length: 9\r\n\r\nhalf", FAKE_HANG_UP, UV_ECONNRESET, ""},
    {HEAD "Content-Length: 9\r\n\r\nhalf", FAKE_STAY, UV_ETIMEDOUT, ""},
    {HEAD, FAKE_STAY, UV_ETIMEDOUT, ""},
    {"", FAKE_STAY, UV_ETIMEDOUT, ""},
    {"", FAKE_HANG_UP, UV_ECONNRESET, ""},
    {"", FAKE_RESET, UV_ECONNRESET, ""},
};

START_TEST(a_bad_answer_is_an_error_and_the_next_works)
{
    fake_server_expect(
        server, &(struct fake_step){.expect = "*", .reply = BAD[_i].reply, .then = BAD[_i].then});
    get_and_wait();
    ck_assert_msg(last_status == BAD[_i].status, "%s: %s", uv_err_name(last_status), last_reason);
    ck_assert_msg(*last_reason && strstr(last_reason, BAD[_i].reason), "%s", last_reason);

    fake_http_expect_ok(server, "*", "fine");
    get_and_wait();
    ck_assert_int_eq(last_status, 0);
    ck_assert_str_eq(last_body, "fine");
}
END_TEST

START_TEST(a_body_that_does_not_say_its_length_is_bounded)
{
    char reply[MAX_BODY + 100];
    int head = snprintf(reply, sizeof reply, "HTTP/1.0 200 OK\r\n\r\n");
    memset(reply + head, 'x', MAX_BODY + 1);
    for (int extra = 0; extra <= 1; extra++) {
        fake_server_expect(server, &(struct fake_step){.expect = "*",
                                                       .reply = reply,
                                                       .length = (size_t)(head + MAX_BODY + extra),
                                                       .then = FAKE_HANG_UP});
        get_and_wait();
        ck_assert_int_eq(last_status, extra ? UV_E2BIG : 0);
    }
}
END_TEST

START_TEST(a_late_answer_counts_until_the_deadline)
{
    fake_http_expect_late(server, "*", HEAD "Content-Length: 1\r\n\r\nx", TIMEOUT_MS / 3);
    get_and_wait();
    ck_assert_int_eq(last_status, 0);
    fake_http_expect_late(server, "*", HEAD "Content-Length: 1\r\n\r\nx", TIMEOUT_MS * 3);
    get_and_wait();
    ck_assert_int_eq(last_status, UV_ETIMEDOUT);
}
END_TEST

START_TEST(nobody_listens_then_somebody_does)
{
    fake_server_refuse(server);
    get_and_wait();
    ck_assert_int_eq(last_status, UV_ECONNREFUSED);
    fake_server_listen(server);
    fake_http_expect_ok(server, "*", "");
    get_and_wait();
    ck_assert_int_eq(last_status, 0);
}
END_TEST

START_TEST(a_name_that_does_not_exist_is_told)
{
    fetch_free(fetch);
    open_url("http://a..b:%d/");
    get_and_wait();
    ck_assert_msg(last_status == UV_EAI_FAIL || last_status == UV_EPROTO, "%s", last_reason);
}
END_TEST

START_TEST(one_get_at_a_time)
{
    fake_http_expect_ok(server, "*", "");
    get();
    ck_assert_int_eq(fetch_get(fetch, NULL, NULL, on_done, NULL), UV_EBUSY);
    loop_wait(&loop, answers == 1);
}
END_TEST

START_TEST(other_schemes_are_refused)
{
    static const char *const URLS[] = {"file:///etc/passwd", "ftp://h/", "", "://", "gopher://h"};
    struct fetch *none = NULL;
    struct fetch_options options = {
        .loop = &loop, .url = URLS[_i], .timeout_ms = TIMEOUT_MS, .max_body = 1};
    ck_assert_int_eq(fetch_new(&options, &none), UV_EINVAL);
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(freed_in_flight_is_cancelled)
{
    fake_http_expect_silence(server, "*");
    get();
    if (_i)
        loop_wait(&loop, fake_server_is_done(server));
    fetch_free(fetch);
    fetch = NULL;
    ck_assert_uint_eq(answers, 1);
    ck_assert_int_eq(last_status, UV_ECANCELED);
    fake_server_forget(server);
}
END_TEST

static void on_done_free(void *arg, int status, const char *body, size_t length, const char *reason)
{
    on_done(arg, status, body, length, reason);
    fetch_free(fetch);
    fetch = NULL;
}

START_TEST(freed_inside_its_answer)
{
    if (_i)
        fake_http_expect_hang_up(server, "*", "");
    else
        fake_http_expect_ok(server, "*", "body");
    ck_assert_int_eq(fetch_get(fetch, NULL, NULL, on_done_free, &loop), 0);
    loop_wait(&loop, !fetch);
    ck_assert_int_eq(last_status, _i ? UV_ECONNRESET : 0);
}
END_TEST

static void on_done_again(void *arg, int status, const char *body, size_t length,
                          const char *reason)
{
    on_done(arg, status, body, length, reason);
    get();
    ck_assert_str_eq(body, "first"); /* the next GET left the borrowed body alone */
}

START_TEST(the_next_may_start_inside_an_answer)
{
    fake_http_expect_ok(server, "*", "first");
    fake_http_expect_ok(server, "*", "second");
    ck_assert_int_eq(fetch_get(fetch, NULL, NULL, on_done_again, &loop), 0);
    loop_wait(&loop, answers == 2);
    ck_assert_str_eq(last_body, "second");
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)

int main(void)
{
    Suite *suite = suite_create("fetch");
    TCase *cases = tcase_create("fetch");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 20);
    tcase_add_loop_test(cases, a_whole_answer_is_handed_over, 0, ROWS(GOOD));
    tcase_add_test(cases, an_answer_may_end_with_the_connection);
    tcase_add_test(cases, no_proxy_of_the_environment_is_asked);
    tcase_add_test(cases, the_connection_is_kept);
    tcase_add_test(cases, a_kept_connection_that_was_closed_is_replaced);
    tcase_add_test(cases, ids_are_sent_along);
    tcase_add_loop_test(cases, a_bad_answer_is_an_error_and_the_next_works, 0, ROWS(BAD));
    tcase_add_test(cases, a_body_that_does_not_say_its_length_is_bounded);
    tcase_add_test(cases, a_late_answer_counts_until_the_deadline);
    tcase_add_test(cases, nobody_listens_then_somebody_does);
    tcase_add_test(cases, a_name_that_does_not_exist_is_told);
    tcase_add_test(cases, one_get_at_a_time);
    tcase_add_loop_test(cases, other_schemes_are_refused, 0, 5);
    tcase_add_loop_test(cases, freed_in_flight_is_cancelled, 0, 2);
    tcase_add_loop_test(cases, freed_inside_its_answer, 0, 2);
    tcase_add_test(cases, the_next_may_start_inside_an_answer);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
