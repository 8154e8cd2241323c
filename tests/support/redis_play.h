/* A Redis client and a scripted server on one loop: the stage of the client's tests. */
#pragma once

#include <stdint.h>
#include <uv.h>
#include "lib/buf.h"
#include "lib/redis.h"
#include "lib/url.h"

struct fake_server;

enum { PLAY_TIMEOUT_MS = 300, PLAY_PAUSES = 8 };

struct redis_play {
    uv_loop_t loop;
    struct fake_server *server;
    struct url url;
    unsigned
        timeout_ms; /* of each call; PLAY_TIMEOUT_MS unless a test changes it before it starts */
    struct redis *redis; /* NULL: freed */
    struct buf told;     /* every reply and every end of a call, `;` behind each */
    struct buf states;   /* every state, a space behind each */
    char reason[300];    /* of the last state */
    unsigned replies;
    uint64_t changed_ms, pauses_ms[PLAY_PAUSES]; /* from each CLOSED to the next CONNECTING */
    unsigned pauses;
};

extern struct redis_play play;

/* Fixtures: the loop and the server; everything closed and nothing left. */
void play_begin(void);
void play_end(void);

/* Options for a URL in which %d is the server's port. */
struct redis_options play_options(const char *form);
void play_start_with(const char *form);
void play_start(void);
/* Starts and waits until it is READY; the states so far are forgotten. */
void play_start_ready(void);
void play_wait_closed(void);
void play_free(void);

/* Sends a command of one word; its reply goes to `told`. The result of redis_call. */
int play_call(const char *command);
void play_on_reply(void *arg, int status, const struct redis_value *value);
void play_on_state(struct redis *r, enum redis_state state, const char *why, void *context);
