/* Sharing reads: who joins which fetch, and what a fetch tells of the backend. The fetch is a fake
 * that answers when the test says so. */
#include "frontend/users.h"
#include "frontend/metrics.h"
#include "frontend/user_list.h"
#include "lib/fetch.h"
#include "lib/http.h"
#include "lib/mem.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

#define BODY "[{\"userName\":\"Bob\"}]\n"

/* ---- the fake fetch ---- */

struct fetch {
    fetch_on_done on_done; /* NULL: nothing in flight */
    void *arg;
    char request_id[32], traceparent[64];
    int gets, refuse;
};

static struct fetch fake;
static int fake_refuses_to_start;

int fetch_new(const struct fetch_options *options, struct fetch **ret_fetch)
{
    ck_assert_str_eq(options->url, "http://backend/backend");
    ck_assert_uint_eq(options->max_body, USER_LIST_MAX_BYTES);
    fake = (struct fetch){0};
    *ret_fetch = &fake;
    return fake_refuses_to_start;
}

int fetch_get(struct fetch *f, const char *request_id, const char *traceparent,
              fetch_on_done on_done, void *arg)
{
    ck_assert_ptr_null(f->on_done);
    if (f->refuse)
        return f->refuse;
    f->on_done = on_done;
    f->arg = arg;
    f->gets++;
    strcpy(f->request_id, request_id ? request_id : "");
    strcpy(f->traceparent, traceparent ? traceparent : "");
    return 0;
}

static void fake_ends(int status, const char *body, const char *reason)
{
    fetch_on_done on_done = fake.on_done;
    ck_assert(on_done);
    fake.on_done = NULL;
    on_done(fake.arg, status, body, body ? strlen(body) : 0, reason);
}

void fetch_free(struct fetch *f)
{
    if (f->on_done)
        fake_ends(UV_ECANCELED, NULL, "leaving");
}

/* Of the fake server; a request is its id. */
const char *http_request_id(struct http_request *req)
{
    return (const char *)req;
}

const char *http_traceparent(struct http_request *req)
{
    (void)req;
    return "trace";
}

/* ---- the stage ---- */

struct visitor {
    struct users_waiter waiter;
    int answers, status;
    size_t users;
    struct user_list *list; /* which it was; not its own */
};

static uv_loop_t loop;
static struct metrics *metrics;
static struct users *users;

static void on_done(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)index;
    struct visitor *v = CONTAINER_OF(waiter, struct visitor, waiter.base);
    v->answers++;
    v->status = status;
    if (status != 0) {
        ck_assert_ptr_null(result);
        return;
    }
    v->list = users_result(result);
    v->users = v->list->count;
    user_list_unref(v->list);
}

static struct visitor visitor(const char *id)
{
    return (struct visitor){.waiter = {{.on_done = on_done}, (struct http_request *)id}};
}

static void start(unsigned timeout_ms)
{
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    metrics = metrics_new(frontend_metrics, FRONTEND_METRICS);
    struct users_options options = {.loop = &loop,
                                    .url = "http://backend/backend",
                                    .timeout_ms = timeout_ms,
                                    .max_waiting = 3,
                                    .probe_ms = 10,
                                    .metrics = metrics};
    ck_assert_int_eq(users_new(&options, &users), 0);
}

static void join(struct visitor *v)
{
    ck_assert_int_eq(users_join(users, &v->waiter), 0);
}

static void ask(struct visitor *v)
{
    join(v);
    users_flush(users, false);
}

/* Past the question that is asked at start. */
static void start_up(void)
{
    start(1000);
    users_flush(users, false);
    fake_ends(0, BODY, NULL);
    ck_assert(users_is_up(users));
}

static void stop(void)
{
    users_free(users);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    metrics_free(metrics);
}

START_TEST(the_backend_is_asked_once_at_start)
{
    start(1000);
    ck_assert(!users_is_up(users));
    users_flush(users, false);
    users_flush(users, false);
    ck_assert_int_eq(fake.gets, 1);
    fake_ends(0, BODY, NULL);
    ck_assert(users_is_up(users));
    ck_assert_uint_eq(metrics_value(metrics, BACKEND_UP), 1);
    users_flush(users, false);
    ck_assert_int_eq(fake.gets, 1);
    stop();
}
END_TEST

START_TEST(one_fetch_answers_everyone_who_waits)
{
    struct visitor a = visitor("a"), b = visitor("b");
    join(&a);
    ask(&b);
    ck_assert_int_eq(fake.gets, 2);
    ck_assert_str_eq(fake.request_id, "a");
    ck_assert_str_eq(fake.traceparent, "trace");
    fake_ends(0, BODY, NULL);
    ck_assert_int_eq(a.answers + b.answers, 2);
    ck_assert_uint_eq(a.users + b.users, 2);
}
END_TEST

START_TEST(who_comes_later_waits_for_the_next_fetch)
{
    struct visitor early = visitor("early"), late = visitor("late");
    ask(&early);
    ask(&late);
    fake_ends(0, BODY, NULL);
    ck_assert_int_eq(early.answers, 1);
    ck_assert_int_eq(late.answers, 0);
    users_flush(users, false);
    ck_assert_str_eq(fake.request_id, "late");
    fake_ends(0, "[]\n", NULL);
    ck_assert_int_eq(late.answers, 1);
    ck_assert_uint_eq(late.users, 0);
}
END_TEST

START_TEST(a_fetch_leaves_with_the_script_call_of_its_pages)
{
    struct visitor early = visitor("early"), late = visitor("late");
    join(&early);
    users_flush(users, true);
    ck_assert_int_eq(fake.gets, 1);
    ask(&late);
    ck_assert_int_eq(fake.gets, 2);
    fake_ends(0, BODY, NULL);
    ck_assert_int_eq(early.answers + late.answers, 2);
}
END_TEST

START_TEST(a_script_call_that_never_starts_holds_no_fetch_for_long)
{
    struct visitor v = visitor("v");
    join(&v);
    while (fake.gets == 1) {
        users_flush(users, true);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    ck_assert_int_eq(v.answers, 0); /* not out of time: it was asked for */
    fake_ends(0, BODY, NULL);
}
END_TEST

static struct visitor visit(const char *answer)
{
    struct visitor v = visitor("v");
    ask(&v);
    fake_ends(0, answer, NULL);
    ck_assert_int_eq(v.answers, 1);
    return v;
}

START_TEST(only_an_answer_that_differs_makes_a_new_list)
{
    struct visitor first = visit(BODY), same = visit(BODY);
    ck_assert_ptr_eq(first.list, same.list);
    ck_assert_uint_eq(visit("[]\n").users, 0);
    ck_assert_uint_eq(visit("[{\"userName\":\"Eve\"}]\n").users, 1);
    ck_assert_int_eq(visit("[{\"userName\":\"Eve\"}]x").status, UV_EPROTO);
    ck_assert_uint_eq(visit(BODY).users, 1);
}
END_TEST

START_TEST(who_has_left_is_not_told)
{
    struct visitor gone = visitor("gone"), left = visitor("left"), stays = visitor("stays");
    join(&gone), join(&left), join(&stays);
    users_leave(users, &gone.waiter);
    users_flush(users, false);
    ck_assert_str_eq(fake.request_id, "left");
    users_leave(users, &left.waiter);
    fake_ends(0, BODY, NULL);
    ck_assert_int_eq(gone.answers + left.answers, 0);
    ck_assert_int_eq(stays.answers, 1);
}
END_TEST

START_TEST(a_full_queue_refuses_at_once)
{
    struct visitor crowd[4] = {visitor("1"), visitor("2"), visitor("3"), visitor("4")};
    join(&crowd[0]), join(&crowd[1]), join(&crowd[2]);
    ck_assert_int_eq(users_join(users, &crowd[3].waiter), UV_ENOBUFS);
    ck_assert_uint_eq(metrics_value(metrics, USERS_FULL), 1);
    users_flush(users, false);
    fake_ends(0, BODY, NULL);
    ck_assert_int_eq(crowd[2].answers, 1);
    ck_assert_int_eq(crowd[3].answers, 0);
}
END_TEST

static const struct failure {
    int status;
    const char *body;
    int expected;
} failures[] = {
    {UV_ECONNREFUSED, NULL, UV_ECONNREFUSED},
    {UV_ETIMEDOUT, NULL, UV_ETIMEDOUT},
    {UV_E2BIG, NULL, UV_E2BIG},
    {0, "<html>", UV_EPROTO},
    {0, "{}", UV_EPROTO},
    {0, "", UV_EPROTO},
    {0, "[{\"userName\":1}]", UV_EPROTO},
};

START_TEST(a_failed_fetch_is_told_to_those_who_joined_it)
{
    const struct failure *f = &failures[_i];
    struct visitor v = visitor("v"), next = visitor("next");
    ask(&v);
    join(&next);
    fake_ends(f->status, f->body, "it failed");
    ck_assert_int_eq(v.answers, 1);
    ck_assert_int_eq(v.status, f->expected);
    ck_assert(!users_is_up(users));
    ck_assert_uint_eq(metrics_value(metrics, BACKEND_UP), 0);
    ck_assert_uint_eq(metrics_value(metrics, BACKEND_FAILURES), 1);
    users_flush(users, false);
    fake_ends(0, BODY, NULL);
    ck_assert_int_eq(next.status, 0);
    ck_assert(users_is_up(users));
}
END_TEST

START_TEST(a_fetch_that_cannot_start_fails_at_once)
{
    fake.refuse = UV_ENOMEM;
    struct visitor v = visitor("v");
    ask(&v);
    ck_assert_int_eq(v.status, UV_ENOMEM);
    ck_assert(!users_is_up(users));
}
END_TEST

START_TEST(nobody_waits_longer_than_the_deadline)
{
    start(10);
    users_flush(users, false);
    fake_ends(0, BODY, NULL);
    struct visitor first = visitor("first"), second = visitor("second");
    ask(&first);
    join(&second);
    while (second.answers == 0)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(first.status, UV_ETIMEDOUT);
    ck_assert_int_eq(second.status, UV_ETIMEDOUT);
    fake_ends(0, BODY, NULL);
    ck_assert_int_eq(first.answers + second.answers, 2);
    stop();
}
END_TEST

START_TEST(a_lost_backend_is_asked_again_without_visitors)
{
    start(1000);
    users_flush(users, false);
    fake_ends(UV_ECONNREFUSED, NULL, "refused");
    while (fake.gets == 1) {
        uv_run(&loop, UV_RUN_ONCE);
        users_flush(users, false);
    }
    fake_ends(0, BODY, NULL);
    ck_assert(users_is_up(users));
    uv_run(&loop, UV_RUN_DEFAULT);
    users_flush(users, false);
    ck_assert_int_eq(fake.gets, 2);
    stop();
}
END_TEST

START_TEST(leaving_cancels_the_fetch)
{
    start_up();
    struct visitor v = visitor("v");
    ask(&v);
    users_leave(users, &v.waiter);
    stop();
    ck_assert_int_eq(v.answers, 0);
    ck_assert_ptr_null(fake.on_done);
}
END_TEST

START_TEST(a_fetch_that_cannot_be_made_is_passed_on)
{
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    fake_refuses_to_start = UV_ENOMEM;
    struct users_options options = {.loop = &loop, .url = "http://backend/backend"};
    ck_assert_int_eq(users_new(&options, &users), UV_ENOMEM);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    users_free(NULL);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("users");
    TCase *up = tcase_create("up"), *other = tcase_create("other");
    tcase_add_checked_fixture(up, start_up, stop);
    tcase_add_test(up, a_fetch_leaves_with_the_script_call_of_its_pages);
    tcase_add_test(up, a_script_call_that_never_starts_holds_no_fetch_for_long);
    tcase_add_test(up, one_fetch_answers_everyone_who_waits);
    tcase_add_test(up, who_comes_later_waits_for_the_next_fetch);
    tcase_add_test(up, only_an_answer_that_differs_makes_a_new_list);
    tcase_add_test(up, who_has_left_is_not_told);
    tcase_add_test(up, a_full_queue_refuses_at_once);
    tcase_add_loop_test(up, a_failed_fetch_is_told_to_those_who_joined_it, 0,
                        sizeof(failures) / sizeof(failures[0]));
    tcase_add_test(up, a_fetch_that_cannot_start_fails_at_once);
    tcase_add_test(other, the_backend_is_asked_once_at_start);
    tcase_add_test(other, nobody_waits_longer_than_the_deadline);
    tcase_add_test(other, a_lost_backend_is_asked_again_without_visitors);
    tcase_add_test(other, leaving_cancels_the_fetch);
    tcase_add_test(other, a_fetch_that_cannot_be_made_is_passed_on);
    suite_add_tcase(suite, up);
    suite_add_tcase(suite, other);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
