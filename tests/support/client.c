/* A raw HTTP client that turns the loop of the server under test while it waits. */
#include "tests/support/client.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/mem.h"
#include "tests/support/net.h"

enum { DEADLINE_MS = 5000, QUIET_TURNS = 30 };

void client_open(struct client *c, uv_loop_t *loop, int port)
{
    *c = (struct client){.loop = loop, .fd = net_connect(port)};
    ck_assert_msg(c->fd >= 0, "no connection to port %d", port);
    c->bytes = xcalloc(1, 1);
    ck_assert_int_eq(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

void client_close(struct client *c)
{
    close(c->fd);
    free(c->bytes);
    free(c->head);
    free(c->body);
    *c = (struct client){.fd = -1};
}

void client_reset(struct client *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    client_close(c);
}

/* One turn of the server; sleeps a moment when nothing has come for us. */
static void turn(struct client *c)
{
    uv_run(c->loop, UV_RUN_NOWAIT);
    struct pollfd waiting = {.fd = c->fd, .events = POLLIN};
    poll(&waiting, 1, 1);
}

static void receive(struct client *c)
{
    char chunk[65536];
    ssize_t n = recv(c->fd, chunk, sizeof chunk, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        c->ended = true;
    if (n <= 0)
        return;
    c->bytes = xrealloc(c->bytes, c->length + (size_t)n + 1);
    memcpy(c->bytes + c->length, chunk, (size_t)n);
    c->length += (size_t)n;
    c->bytes[c->length] = '\0';
}

void client_send(struct client *c, const char *text)
{
    size_t length = strlen(text), sent = 0;
    unsigned long long deadline = now_ms() + DEADLINE_MS;
    while (sent < length) {
        ssize_t n = send(c->fd, text + sent, length - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the server had enough of it; what it said is read next */
        sent += n > 0 ? (size_t)n : 0;
        ck_assert_msg(now_ms() < deadline, "the server does not read");
        if (n < 0)
            turn(c);
    }
}

void client_ask(struct client *c, const char *path, const char *fields)
{
    char *request = xasprintf("GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n", path, fields);
    client_send(c, request);
    free(request);
}

const char *client_field(const struct client *c, const char *name)
{
    static char value[1024];
    size_t length = strlen(name);
    for (const char *line = strchr(c->head, '\n'); line; line = strchr(line, '\n')) {
        line++;
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *start = line + length + 1 + strspn(line + length + 1, " ");
        snprintf(value, sizeof value, "%.*s", (int)strcspn(start, "\r\n"), start);
        return value;
    }
    return NULL;
}

void client_assert_field(const struct client *c, const char *name, const char *value)
{
    const char *found = client_field(c, name);
    ck_assert_msg(found != NULL, "no field %s in %s", name, c->head);
    ck_assert_str_eq(found, value);
}

void client_assert_no_field(const struct client *c, const char *name)
{
    ck_assert_msg(client_field(c, name) == NULL, "%s in %s", name, c->head);
}

static void await(struct client *c, size_t length)
{
    unsigned long long deadline = now_ms() + DEADLINE_MS;
    while (c->length < length && !c->ended) {
        ck_assert_msg(now_ms() < deadline, "no answer in time; so far: %s", c->bytes);
        turn(c);
        receive(c);
    }
}

static char *take(struct client *c, size_t length)
{
    ck_assert_msg(c->length >= length, "the answer broke off: %s", c->bytes);
    char *text = xstrndup("", 0);
    text = xrealloc(text, length + 1);
    memcpy(text, c->bytes, length);
    text[length] = '\0';
    c->length -= length;
    memmove(c->bytes, c->bytes + length, c->length + 1);
    return text;
}

static int read_answer(struct client *c, bool has_body)
{
    const char *end;
    free(c->head);
    free(c->body);
    c->head = c->body = NULL;
    while ((end = strstr(c->bytes, "\r\n\r\n")) == NULL) {
        ck_assert_msg(!c->ended, "closed without an answer: %s", c->bytes);
        await(c, c->length + 1);
    }
    c->head = take(c, (size_t)(end - c->bytes) + 4);
    const char *length = client_field(c, "Content-Length");
    int status = atoi(c->head + strlen("HTTP/1.1 "));
    size_t wanted = length ? strtoul(length, NULL, 10) : SIZE_MAX;
    if (!has_body || status == 204)
        wanted = 0;
    await(c, wanted);
    c->body_length = wanted == SIZE_MAX ? c->length : wanted;
    c->body = take(c, c->body_length);
    return status;
}

int client_read(struct client *c)
{
    return read_answer(c, true);
}

int client_read_head(struct client *c)
{
    return read_answer(c, false);
}

int client_get(struct client *c, const char *path, const char *fields)
{
    client_ask(c, path, fields);
    return client_read(c);
}

bool client_sees_end(struct client *c)
{
    await(c, SIZE_MAX);
    return c->length == 0;
}

bool client_hears_nothing(struct client *c)
{
    for (int i = 0; i < QUIET_TURNS && c->length == 0 && !c->ended; i++) {
        turn(c);
        receive(c);
    }
    return c->length == 0 && !c->ended;
}
