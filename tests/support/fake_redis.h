/* A scripted Redis server on the test's own loop. */
#pragma once

#include "tests/support/fake_server.h"

/* A request's line is its arguments with a space between them; where an argument is longer than
 * 200 bytes, `<N bytes>` stands for it. Where the script says nothing, PING, AUTH, SELECT and the
 * visit counter's greeting (SCRIPT LOAD, and an EVAL whose n is 0) are answered well. */
#define FAKE_SCRIPT "0123456789012345678901234567890123456789"
struct fake_server *fake_redis_new(uv_loop_t *loop);
struct fake_server *fake_redis_new_on(uv_loop_t *loop, const char *address);

/* The next command matches the pattern and is answered so. */
void fake_redis_expect(struct fake_server *s, const char *pattern, const char *reply);
void fake_redis_expect_late(struct fake_server *s, const char *pattern, const char *reply,
                            unsigned delay_ms);
/* … is never answered. */
void fake_redis_expect_silence(struct fake_server *s, const char *pattern);
/* … is answered with this much (perhaps ""), then the server hangs up. */
void fake_redis_expect_hang_up(struct fake_server *s, const char *pattern, const char *reply);
