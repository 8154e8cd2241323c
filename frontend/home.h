/* GET /: counts one visit and shows its number and the users. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "frontend/users.h"
#include "lib/batch.h"

struct frontend_worker;
struct http_request;
struct user_list;

/* A visit that waits: the state of its request. */
struct home {
    struct frontend_worker *worker; /* borrowed; NULL before it waits for anything */
    struct batch_waiter visit;
    struct users_waiter users;
    struct user_list *list; /* NULL: not there, or not yet */
    int64_t number;         /* 0: not there, or not yet */
    bool wants_json;
};

/* For the route's row; the context is a struct frontend_worker. */
void home_get(struct http_request *req, void *context);
void home_gone(struct http_request *req, void *context);
