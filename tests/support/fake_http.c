/* A scripted HTTP server on the test's own loop. */
#include "tests/support/fake_http.h"
#include "lib/buf.h"
#include <string.h>

static size_t parse(const char *data, size_t length, struct buf *line)
{
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    for (const char *at = data; at < end + 2; at++)
        if (*at == '\r')
            buf_puts(line, "|");
        else if (*at != '\n')
            buf_append(line, at, 1);
    return (size_t)(end + 4 - data);
}

static const char *answer(const char *line)
{
    (void)line;
    return NULL;
}

static const struct fake_language HTTP = {.parse = parse, .answer = answer};

struct fake_server *fake_http_new(uv_loop_t *loop)
{
    return fake_server_new(loop, "127.0.0.1", &HTTP);
}

void fake_http_expect(struct fake_server *s, const char *pattern, const char *reply)
{
    fake_server_expect(s, &(struct fake_step){.expect = pattern, .reply = reply});
}

void fake_http_expect_late(struct fake_server *s, const char *pattern, const char *reply,
                           unsigned delay_ms)
{
    fake_server_expect(
        s, &(struct fake_step){.expect = pattern, .reply = reply, .delay_ms = delay_ms});
}

void fake_http_expect_silence(struct fake_server *s, const char *pattern)
{
    fake_http_expect(s, pattern, "");
}

void fake_http_expect_hang_up(struct fake_server *s, const char *pattern, const char *reply)
{
    fake_server_expect(
        s, &(struct fake_step){.expect = pattern, .reply = reply, .then = FAKE_HANG_UP});
}

void fake_http_expect_ok(struct fake_server *s, const char *pattern, const char *body)
{
    struct buf reply = {0};
    buf_printf(&reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    fake_http_expect(s, pattern, reply.data);
    buf_done(&reply);
}
