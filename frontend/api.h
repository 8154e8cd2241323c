/* GET /api/v1/visits: how many visits were counted. Counts nothing. */
#pragma once

struct http_request;

/* For the route's row: the state is a struct batch_waiter, the context a struct frontend_worker. */
void api_get_visits(struct http_request *req, void *context);
void api_gone(struct http_request *req, void *context);
