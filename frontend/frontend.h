/* What the frontend's handlers work with. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include "lib/buf.h"
#include "lib/ops.h"

struct frontend_config;
struct http_request;
struct page;
struct users;
struct visits;

/* One a process. Constant while workers run, but for the floor. */
struct frontend {
    const struct frontend_config *config; /* borrowed */
    struct page *page;
    char *error_head;
    _Atomic int64_t floor; /* the highest visitor's number that this process has seen */
};

/* One a worker; the context of its handlers. */
struct frontend_worker {
    struct ops ops; /* MUST be first: the operators' routes find it here */
    struct frontend *frontend;
    struct visits *visits;
    struct users *users; /* NULL: there is no backend to ask */
    struct buf body;     /* of the answer in the making; its memory is used again */
};
