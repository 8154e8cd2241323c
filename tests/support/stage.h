/* A loop with an HTTP server on it and handlers that a test plays by hand. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <uv.h>
#include "lib/http.h"

/* DESIGN. The routes: /now answers "now" at once; /wait waits until stage_answer; /big answers 1
 * MiB; /page is negotiated and says what it was asked for; /echo answers the field X-Echo; /dull
 * waits and has no on_gone. */
struct stage_wait {
    TAILQ_ENTRY(stage_wait) link;
};

struct stage {
    uv_loop_t loop;
    uv_prepare_t turn;
    struct http *http;
    int listen_fd, port;
    TAILQ_HEAD(, stage_wait) waits;
    unsigned asked, gone, done, turns, complaints;
    int last_status; /* as on_done said */
    char last_method[16], last_path[64], last_id[80], last_trace[40];
    char last_complaint[128]; /* of libmicrohttpd */
};

/* Zero fields of the options mean: 100 connections, 60 s, parked after HTTP_PARK_AFTER_MS. */
void stage_open(struct stage *s, const struct http_options *options);
/* Ends the server; fails the test unless the loop closes clean. */
void stage_close(struct stage *s);

/* Turns until so many wait on /wait. */
void stage_await_waits(struct stage *s, unsigned count);
/* Turns until so many of them vanished. */
void stage_await_gone(struct stage *s, unsigned count);
/* Turns for so long, sleeping as the loop likes; returns how many turns that took. */
unsigned stage_pass(struct stage *s, unsigned ms);
/* Answers the longest waiting with "waited". */
void stage_answer(struct stage *s);
