/* A scripted HTTP server on the test's own loop. */
#pragma once

#include "tests/support/fake_server.h"

/* A request's line is its head, `|` for each line end: "GET /backend HTTP/1.1|Host: …|". */
struct fake_server *fake_http_new(uv_loop_t *loop);

/* The next request matches the pattern and is answered with these bytes. */
void fake_http_expect(struct fake_server *s, const char *pattern, const char *reply);
void fake_http_expect_late(struct fake_server *s, const char *pattern, const char *reply,
                           unsigned delay_ms);
void fake_http_expect_silence(struct fake_server *s, const char *pattern);
void fake_http_expect_hang_up(struct fake_server *s, const char *pattern, const char *reply);
/* … with 200 and this body, and the connection stays. */
void fake_http_expect_ok(struct fake_server *s, const char *pattern, const char *body);
