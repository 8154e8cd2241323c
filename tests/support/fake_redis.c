/* A scripted Redis server on the test's own loop. */
#include "tests/support/fake_redis.h"
#include "lib/buf.h"
#include <check.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 200 };

/* "*3\r\n" or "$5\r\n" at *at: the number, and *at behind it; -1: not whole yet. */
static long read_count(const char **at, const char *end, char kind)
{
    const char *line_end = memchr(*at, '\n', (size_t)(end - *at));
    if (!line_end)
        return -1;
    ck_assert_msg(**at == kind, "not a command: %.40s", *at);
    long count = strtol(*at + 1, NULL, 10);
    ck_assert_int_ge(count, 0);
    *at = line_end + 1;
    return count;
}

static size_t parse(const char *data, size_t length, struct buf *line)
{
    const char *at = data, *end = data + length;
    long arguments = read_count(&at, end, '*');
    if (arguments < 0)
        return 0;
    for (long i = 0; i < arguments; i++) {
        long size = at < end ? read_count(&at, end, '$') : -1;
        if (size < 0 || end - at < size + 2) {
            buf_clear(line);
            return 0;
        }
        buf_puts(line, i ? " " : "");
        if (size > SHOWN_MAX)
            buf_printf(line, "<%ld bytes>", size);
        else
            buf_append(line, at, (size_t)size);
        at += size + 2;
    }
    return (size_t)(at - data);
}

static const char *answer(const char *line)
{
    if (strcmp(line, "PING") == 0)
        return "+PONG\r\n";
    if (strncmp(line, "AUTH ", 5) == 0 || strncmp(line, "SELECT ", 7) == 0)
        return "+OK\r\n";
    if (strncmp(line, "SCRIPT LOAD ", 12) == 0)
        return "$40\r\n" FAKE_SCRIPT "\r\n";
    if (fnmatch("EVAL * 0 *", line, 0) == 0)
        return "*2\r\n:0\r\n:0\r\n";
    return NULL;
}

static const struct fake_language REDIS = {.parse = parse, .answer = answer};

struct fake_server *fake_redis_new_on(uv_loop_t *loop, const char *address)
{
    return fake_server_new(loop, address, &REDIS);
}

struct fake_server *fake_redis_new(uv_loop_t *loop)
{
    return fake_redis_new_on(loop, "127.0.0.1");
}

void fake_redis_expect(struct fake_server *s, const char *pattern, const char *reply)
{
    fake_server_expect(s, &(struct fake_step){.expect = pattern, .reply = reply});
}

void fake_redis_expect_late(struct fake_server *s, const char *pattern, const char *reply,
                            unsigned delay_ms)
{
    fake_server_expect(
        s, &(struct fake_step){.expect = pattern, .reply = reply, .delay_ms = delay_ms});
}

void fake_redis_expect_silence(struct fake_server *s, const char *pattern)
{
    fake_redis_expect(s, pattern, "");
}

void fake_redis_expect_hang_up(struct fake_server *s, const char *pattern, const char *reply)
{
    fake_server_expect(
        s, &(struct fake_step){.expect = pattern, .reply = reply, .then = FAKE_HANG_UP});
}
