/* GET /: every way in which a number and users can come, be late or stay away. The server and both
 * stores are fakes that do what the test says. */
#include "frontend/home.h"
#include "frontend/config.h"
#include "frontend/frontend.h"
#include "frontend/page.h"
#include "frontend/user_list.h"
#include "frontend/visits.h"
#include "lib/http.h"
#include "lib/mem.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

/* ---- the fake server: one request and its answer ---- */

struct http_request {
    struct home state;
    bool is_prefetch, wants_json;
    int replies, status;
    char *body;
    char type[64], field[64], degraded[64];
    unsigned retry_after_s;
};

static struct http_request request;

void *http_state(struct http_request *req)
{
    return &req->state;
}

struct http_request *http_request_of(void *state)
{
    return CONTAINER_OF(state, struct http_request, state);
}

bool http_wants_json(struct http_request *req)
{
    return req->wants_json;
}

bool http_is_prefetch(struct http_request *req)
{
    return req->is_prefetch;
}

void http_reply(struct http_request *req, const struct http_reply *reply)
{
    req->replies++;
    req->status = reply->status;
    req->body = xstrdup(reply->body);
    req->retry_after_s = reply->retry_after_s;
    ck_assert_uint_eq(strlen(reply->body), reply->length);
    strcpy(req->type, reply->content_type);
    strcpy(req->degraded, reply->degraded ? reply->degraded : "");
    if (reply->field)
        snprintf(req->field, sizeof(req->field), "%s: %s", reply->field, reply->value);
}

void http_reply_error(struct http_request *req, int status, const char *detail)
{
    req->replies++;
    req->status = status;
    req->body = xstrdup(detail);
    strcpy(req->type, "error");
}

/* ---- the fake stores ---- */

static struct batch_waiter *waits_for_number, *waits_for_users; /* NULL: nobody */
static int visits_answer, users_answer;                         /* what joining returns */
static int joined;

static void wait_in(struct batch_waiter **place, struct batch_waiter *waiter)
{
    ck_assert_int_eq(waiter->place, BATCH_OUTSIDE);
    waiter->place = BATCH_WAITING;
    *place = waiter;
}

static void leave(struct batch_waiter **place, struct batch_waiter *waiter)
{
    waiter->place = BATCH_OUTSIDE;
    *place = NULL;
}

static void finish(struct batch_waiter **place, int status, uint64_t index, const void *result)
{
    struct batch_waiter *waiter = *place;
    if (!waiter)
        return;
    leave(place, waiter);
    waiter->on_done(waiter, status, index, result);
}

int visits_join(struct visits *v, struct batch_waiter *waiter)
{
    (void)v;
    joined++;
    if (visits_answer == 0)
        wait_in(&waits_for_number, waiter);
    return visits_answer;
}

void visits_leave(struct visits *v, struct batch_waiter *waiter)
{
    (void)v;
    leave(&waits_for_number, waiter);
}

int64_t visits_number(uint64_t index, const void *result)
{
    return *(const int64_t *)result + (int64_t)index;
}

int users_join(struct users *u, struct users_waiter *waiter)
{
    (void)u;
    joined++;
    ck_assert_ptr_eq(waiter->request, &request);
    if (users_answer == 0)
        wait_in(&waits_for_users, &waiter->base);
    return users_answer;
}

void users_leave(struct users *u, struct users_waiter *waiter)
{
    (void)u;
    leave(&waits_for_users, &waiter->base);
}

struct user_list *users_result(const void *result)
{
    return user_list_ref((struct user_list *)result);
}

/* ---- the stage ---- */

static struct frontend frontend;
static struct frontend_worker worker;
static struct user_list *list;

static void set_up(void)
{
    static const char body[] = "[{\"userName\":\"Bob\"}]\n";
    frontend.page = page_new(&(struct page_options){
        .environment = "green", .served_by = "pod", .version = "1", .with_users = true});
    worker.frontend = &frontend;
    worker.users = (struct users *)&worker; /* there is one; nobody looks inside */
    ck_assert_ptr_null(user_list_parse(body, sizeof(body) - 1, &list));
}

static void tear_down(void)
{
    ck_assert_ptr_null(waits_for_number);
    ck_assert_ptr_null(waits_for_users);
    ck_assert_uint_eq(list->references, 1);
    user_list_unref(list);
    page_free(frontend.page);
    buf_done(&worker.body);
    free(request.body);
}

static void number_comes(void)
{
    static const int64_t first = 40;
    finish(&waits_for_number, 0, 2, &first);
}

static void number_fails(void)
{
    finish(&waits_for_number, UV_ETIMEDOUT, 0, NULL);
}

static void users_come(void)
{
    finish(&waits_for_users, 0, 0, list);
}

static void users_fail(void)
{
    finish(&waits_for_users, UV_ECONNREFUSED, 0, NULL);
}

static void nothing(void)
{
}

/* ---- the table ---- */

enum { OK = 0, DOWN = UV_ENOTCONN, FULL = UV_ENOBUFS };
#define HTML "text/html; charset=utf-8"
#define JSON "application/json"
#define NO_VISIT "X-Visit: unavailable"

static const struct row {
    bool wants_json;
    int visits, users; /* joining */
    void (*first)(void), (*second)(void);
    int status;
    const char *type, *field, *degraded, *shows;
} rows[] = {
    {false, OK, OK, number_comes, users_come, 200, HTML, "", "", ">42<"},
    {false, OK, OK, users_come, number_comes, 200, HTML, "", "", "<p>Bob</p>"},
    {false, OK, OK, number_fails, users_come, 200, HTML, NO_VISIT, "redis", "<p>Bob</p>"},
    {false, OK, OK, users_come, number_fails, 200, HTML, NO_VISIT, "redis", ">unavailable<"},
    {false, OK, OK, number_comes, users_fail, 200, HTML, "", "backend", ">42<"},
    {false, OK, OK, users_fail, number_comes, 200, HTML, "", "backend", "users are unavailable"},
    {false, OK, OK, number_fails, users_fail, 503, HTML, NO_VISIT, "redis and backend",
     ">unavailable<"},
    {false, OK, OK, users_fail, number_fails, 503, HTML, NO_VISIT, "redis and backend",
     "users are unavailable"},
    {false, DOWN, OK, users_come, nothing, 200, HTML, NO_VISIT, "redis", "<p>Bob</p>"},
    {false, DOWN, OK, users_fail, nothing, 503, HTML, NO_VISIT, "redis and backend",
     ">unavailable<"},
    {false, FULL, OK, nothing, nothing, 503, "error", "", "", "Too many"},
    {false, OK, FULL, nothing, nothing, 503, "error", "", "", "Too many"},
    {false, DOWN, FULL, nothing, nothing, 503, "error", "", "", "Too many"},
    {true, OK, OK, number_comes, users_come, 200, JSON, "", "", "\"visitor\":42,"},
    {true, OK, OK, users_come, number_comes, 200, JSON, "", "", "[{\"userName\":\"Bob\"}]}"},
    {true, OK, OK, number_comes, users_fail, 200, JSON, "", "backend", "\"users\":null"},
    {true, OK, OK, users_fail, number_comes, 200, JSON, "", "backend", "[\"backend\"]"},
    {true, OK, OK, number_fails, nothing, 503, "error", "", "", "could not be counted"},
    {true, OK, OK, users_come, number_fails, 503, "error", "", "", "could not be counted"},
    {true, OK, OK, users_fail, number_fails, 503, "error", "", "", "could not be counted"},
    {true, DOWN, OK, nothing, nothing, 503, "error", "", "", "could not be counted"},
    {true, FULL, OK, nothing, nothing, 503, "error", "", "", "Too many"},
    {true, OK, FULL, nothing, nothing, 503, "error", "", "", "Too many"},
};

static void visit(const struct row *row)
{
    visits_answer = row->visits;
    users_answer = row->users;
    request.wants_json = row->wants_json;
    home_get(&request, &worker);
    row->first();
    row->second();
}

START_TEST(a_visit_is_answered_once_with_what_is_there)
{
    const struct row *row = &rows[_i];
    visit(row);
    ck_assert_int_eq(request.replies, 1);
    ck_assert_int_eq(request.status, row->status);
    ck_assert_str_eq(request.type, row->type);
    ck_assert_str_eq(request.field, row->field);
    ck_assert_str_eq(request.degraded, row->degraded);
    ck_assert_msg(strstr(request.body, row->shows), "%s", request.body);
    if (row->status == 503 && strcmp(row->type, "error") != 0)
        ck_assert_uint_eq(request.retry_after_s, 1);
}
END_TEST

START_TEST(half_an_answer_is_none)
{
    visit(&(struct row){.first = number_comes, .second = nothing});
    ck_assert_int_eq(request.replies, 0);
    users_come();
    ck_assert_int_eq(request.replies, 1);
}
END_TEST

static const struct gone {
    void (*before)(void);
} gones[] = {{nothing}, {number_comes}, {number_fails}, {users_come}, {users_fail}};

START_TEST(who_goes_leaves_nothing_behind)
{
    visit(&(struct row){.first = gones[_i].before, .second = nothing});
    home_gone(&request, &worker);
    ck_assert_int_eq(request.replies, 0);
}
END_TEST

START_TEST(a_prefetch_asks_no_store)
{
    request.is_prefetch = true;
    home_get(&request, &worker);
    ck_assert_int_eq(request.status, 503);
    ck_assert_int_eq(request.replies, 1);
    ck_assert_int_eq(joined, 0);
}
END_TEST

START_TEST(without_a_backend_the_number_is_enough)
{
    worker.users = NULL;
    visit(&(struct row){.first = number_comes, .second = nothing});
    ck_assert_int_eq(request.status, 200);
    ck_assert_str_eq(request.degraded, "");
    ck_assert_int_eq(joined, 1);
}
END_TEST

START_TEST(without_a_backend_a_missing_number_is_still_a_page)
{
    worker.users = NULL;
    visit(&(struct row){.visits = DOWN, .first = nothing, .second = nothing});
    ck_assert_int_eq(request.status, 200);
    ck_assert_str_eq(request.degraded, "redis");
    ck_assert_str_eq(request.field, NO_VISIT);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("home");
    TCase *tc = tcase_create("home");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, a_visit_is_answered_once_with_what_is_there, 0,
                        sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(tc, half_an_answer_is_none);
    tcase_add_loop_test(tc, who_goes_leaves_nothing_behind, 0, sizeof(gones) / sizeof(gones[0]));
    tcase_add_test(tc, a_prefetch_asks_no_store);
    tcase_add_test(tc, without_a_backend_the_number_is_enough);
    tcase_add_test(tc, without_a_backend_a_missing_number_is_still_a_page);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
