/* GET /api/v1/visits: the total, or why there is none. The server and the counter are fakes. */
#include "frontend/api.h"
#include "frontend/frontend.h"
#include "frontend/visits.h"
#include "lib/http.h"
#include "lib/mem.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

struct http_request {
    struct batch_waiter state;
    int replies, status;
    char *body;
};

static struct http_request request;
static struct frontend_worker worker;
static int join_answer;
static bool has_left;

void *http_state(struct http_request *req)
{
    return &req->state;
}

struct http_request *http_request_of(void *state)
{
    return CONTAINER_OF(state, struct http_request, state);
}

void http_reply(struct http_request *req, const struct http_reply *reply)
{
    req->replies++;
    req->status = reply->status;
    req->body = xstrdup(reply->body);
    ck_assert_str_eq(reply->content_type, "application/json");
    ck_assert_uint_eq(strlen(reply->body), reply->length);
}

void http_reply_error(struct http_request *req, int status, const char *detail)
{
    req->replies++;
    req->status = status;
    req->body = xstrdup(detail);
}

int visits_join_total(struct visits *v, struct batch_waiter *waiter)
{
    (void)v, (void)waiter;
    return join_answer;
}

void visits_leave_total(struct visits *v, struct batch_waiter *waiter)
{
    (void)v;
    ck_assert_ptr_eq(waiter, &request.state);
    has_left = true;
}

int64_t visits_total(const void *result)
{
    return *(const int64_t *)result;
}

static const struct row {
    int64_t total;
    const char *body;
} rows[] = {
    {0, "{\"total\":0}\n"},
    {42, "{\"total\":42}\n"},
    {INT64_MAX, "{\"total\":9223372036854775807}\n"},
};

START_TEST(the_total_is_answered)
{
    api_get_visits(&request, &worker);
    ck_assert_int_eq(request.replies, 0);
    request.state.on_done(&request.state, 0, 7, &rows[_i].total);
    ck_assert_int_eq(request.replies, 1);
    ck_assert_int_eq(request.status, 200);
    ck_assert_str_eq(request.body, rows[_i].body);
    free(request.body);
}
END_TEST

static const struct refusal {
    int join, later;
    const char *says;
} refusals[] = {
    {UV_ENOTCONN, 0, "cannot be read"},
    {UV_ENOBUFS, 0, "Too many"},
    {0, UV_ETIMEDOUT, "cannot be read"},
};

START_TEST(no_total_is_an_error)
{
    join_answer = refusals[_i].join;
    api_get_visits(&request, &worker);
    if (join_answer == 0)
        request.state.on_done(&request.state, refusals[_i].later, 0, NULL);
    ck_assert_int_eq(request.replies, 1);
    ck_assert_int_eq(request.status, 503);
    ck_assert_ptr_nonnull(strstr(request.body, refusals[_i].says));
    free(request.body);
}
END_TEST

START_TEST(who_goes_leaves_the_queue)
{
    api_get_visits(&request, &worker);
    api_gone(&request, &worker);
    ck_assert(has_left);
    ck_assert_int_eq(request.replies, 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api");
    TCase *tc = tcase_create("api");
    tcase_add_loop_test(tc, the_total_is_answered, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_loop_test(tc, no_total_is_an_error, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_test(tc, who_goes_leaves_the_queue);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
