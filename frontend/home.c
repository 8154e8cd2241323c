/* GET /: counts one visit and shows its number and the users.
 *
 * DESIGN. A request waits for two things at once, its number and the users, and is answered when
 * both are settled: had, failed, or out of time. Either may be missing from a page; JSON without a
 * number is an error, at once. */
#include "frontend/home.h"

#include "frontend/frontend.h"
#include "frontend/page.h"
#include "frontend/user_list.h"
#include "frontend/users.h"
#include "frontend/visits.h"
#include "lib/http.h"
#include "lib/mem.h"

#define HTML_TYPE "text/html; charset=utf-8"

static void forget(struct home *h)
{
    visits_leave(h->worker->visits, &h->visit);
    if (h->worker->users)
        users_leave(h->worker->users, &h->users);
    user_list_unref(h->list);
    h->list = NULL;
}

static void refuse(struct home *h, const char *detail)
{
    forget(h);
    http_reply_error(http_request_of(h), 503, detail);
}

/* What of it is not there, for logs; NULL: all is. */
static const char *missing(const struct home *h)
{
    bool no_users = h->worker->users && !h->list;
    if (h->number == 0)
        return no_users ? "redis and backend" : "redis";
    return no_users ? "backend" : NULL;
}

typedef void (*put_answer)(const struct page *p, const struct page_visit *visit, struct buf *out);

static void reply(struct home *h, struct http_reply *reply, put_answer put)
{
    struct buf *body = &h->worker->body;
    buf_clear(body);
    put(h->worker->frontend->page, &(struct page_visit){.number = h->number, .users = h->list},
        body);
    reply->body = body->data;
    reply->length = body->length;
    reply->degraded = missing(h);
    forget(h);
    http_reply(http_request_of(h), reply);
}

static void reply_json(struct home *h)
{
    reply(h, &(struct http_reply){.status = 200, .content_type = "application/json"}, page_json);
}

static void reply_html(struct home *h)
{
    struct http_reply answer = {.status = 200, .content_type = HTML_TYPE};
    if (h->number == 0) {
        answer.field = "X-Visit";
        answer.value = "unavailable";
    }
    if (h->number == 0 && h->worker->users && !h->list) {
        answer.status = 503;
        answer.retry_after_s = 1;
    }
    reply(h, &answer, page_html);
}

static bool waits_for_number(const struct home *h)
{
    return h->visit.place != BATCH_OUTSIDE;
}

static bool waits_for_users(const struct home *h)
{
    return h->users.base.place != BATCH_OUTSIDE;
}

static void reply_when_settled(struct home *h)
{
    if (waits_for_number(h))
        return;
    if (h->wants_json && h->number == 0)
        refuse(h, "The visit could not be counted. Please try again in a moment.");
    else if (waits_for_users(h))
        return;
    else if (h->wants_json)
        reply_json(h);
    else
        reply_html(h);
}

static void on_visit(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    struct home *h = CONTAINER_OF(waiter, struct home, visit);
    if (status == 0)
        h->number = visits_number(index, result);
    reply_when_settled(h);
}

static void on_users(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)index;
    struct home *h = CONTAINER_OF(waiter, struct home, users.base);
    if (status == 0)
        h->list = users_result(result);
    reply_when_settled(h);
}

/* 0, or UV_ENOBUFS. A store that is down is no error: its part of the answer is missing. */
static int join(struct home *h, struct http_request *req)
{
    h->visit.on_done = on_visit;
    h->users.base.on_done = on_users;
    int status = visits_join(h->worker->visits, &h->visit);
    if (status == UV_ENOBUFS || !h->worker->users)
        return status == UV_ENOBUFS ? status : 0;
    h->users.request = req;
    return users_join(h->worker->users, &h->users);
}

void home_get(struct http_request *req, void *context)
{
    if (http_is_prefetch(req)) {
        http_reply_error(req, 503, "A page that is fetched before it is wanted is not counted.");
        return;
    }
    struct home *h = http_state(req);
    h->worker = context;
    h->wants_json = http_wants_json(req);
    if (join(h, req) != 0)
        refuse(h, "Too many visitors are waiting. Please try again in a moment.");
    else
        reply_when_settled(h);
}

void home_gone(struct http_request *req, void *context)
{
    (void)context;
    forget(http_state(req));
}
