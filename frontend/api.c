/* GET /api/v1/visits: how many visits were counted. Counts nothing. */
#include "frontend/api.h"

#include "frontend/frontend.h"
#include "frontend/visits.h"
#include "lib/buf.h"
#include "lib/http.h"

static void on_total(struct batch_waiter *waiter, int status, uint64_t index, const void *result)
{
    (void)index;
    struct http_request *req = http_request_of(waiter);
    if (status != 0) {
        http_reply_error(req, 503, "The counter cannot be read. Please try again in a moment.");
        return;
    }
    struct buf body = {0};
    buf_puts(&body, "{\"total\":");
    buf_put_u64(&body, (uint64_t)visits_total(result));
    buf_puts(&body, "}\n");
    http_reply(req, &(struct http_reply){.status = 200,
                                         .content_type = "application/json",
                                         .body = body.data,
                                         .length = body.length});
    buf_done(&body);
}

void api_get_visits(struct http_request *req, void *context)
{
    struct frontend_worker *worker = context;
    struct batch_waiter *waiter = http_state(req);
    waiter->on_done = on_total;
    int status = visits_join_total(worker->visits, waiter);
    if (status == UV_ENOBUFS)
        http_reply_error(req, 503, "Too many requests are waiting. Please try again in a moment.");
    else if (status != 0)
        on_total(waiter, status, 0, NULL);
}

void api_gone(struct http_request *req, void *context)
{
    struct frontend_worker *worker = context;
    visits_leave_total(worker->visits, http_state(req));
}
