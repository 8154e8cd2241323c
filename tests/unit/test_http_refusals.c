/* The HTTP server and clients that ask for too much, or in a wrong way. */
#include "lib/http.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
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
        client_assert_field(&client, "Allow", "GET, HEAD, OPTIONS");
    if (requests[_i].kept) {
        client_assert_no_field(&client, "Connection");
        ck_assert_int_eq(client_get(&client, "/now", ""), 200);
        return;
    }
    client_assert_field(&client, "Connection", "close");
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
        client_assert_field(&client, "Connection", "close");
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

static TCase *refusals(void)
{
    TCase *c = case_new("refusals", open_stage);
    tcase_add_loop_test(c, requests_get_the_answer_they_deserve, 0, COUNT(requests));
    tcase_add_loop_test(c, garbage_harms_nobody_else, 0, COUNT(garbage));
    tcase_add_loop_test(c, what_is_too_long_is_refused, 0, COUNT(long_requests));
    return c;
}

int main(void)
{
    Suite *suite = suite_create("http_refusals");
    suite_add_tcase(suite, refusals());
    return suite_run(suite);
}
