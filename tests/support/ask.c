/* One blocking HTTP request of a test, and what was answered. */
#include "tests/support/ask.h"

#include <check.h>
#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/mem.h"
#include "tests/support/net.h"

enum { ANSWERS = 16, TIMEOUT_MS = 8000, UNTIL_MS = 20000, ROOM = 1 << 20, LOOK_EVERY_MS = 5 };

static struct answer *answer_new(void)
{
    static struct answer ring[ANSWERS];
    static unsigned next;
    struct answer *a = &ring[next++ % ANSWERS];
    free(a->head);
    free(a->body);
    *a = (struct answer){.head = xstrdup(""), .body = xstrdup("")};
    return a;
}

/* A field's value in `head`, or NULL. */
static const char *find_field(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strchr(head, '\n'); line; line = strchr(line, '\n')) {
        line++;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

const char *answer_field(const struct answer *a, const char *name)
{
    static char value[2048];
    const char *found = find_field(a->head, name);
    if (!found)
        return NULL;
    snprintf(value, sizeof value, "%.*s", (int)strcspn(found, "\r\n"), found);
    return value;
}

/* How long the whole answer is, once its head is there; 0 before; SIZE_MAX: until the end. */
static size_t whole_length(const char *text, bool head_only)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (!end)
        return 0;
    size_t head = (size_t)(end - text) + 4;
    const char *length = find_field(text, "Content-Length");
    if (head_only || strncmp(text + 9, "204", 3) == 0 || strncmp(text + 9, "304", 3) == 0)
        return head;
    return length && length < end ? head + strtoul(length, NULL, 10) : SIZE_MAX;
}

/* Reads until the answer is whole, the other side ends, or the deadline. Returns the bytes. */
static size_t receive(int fd, char *text, bool head_only)
{
    size_t got = 0;
    unsigned long long end = now_ms() + TIMEOUT_MS;
    for (;;) {
        size_t whole = whole_length(text, head_only);
        if (whole && got >= whole)
            return got;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        long long left = (long long)(end - now_ms());
        ck_assert_msg(left > 0 && poll(&p, 1, (int)left) == 1, "no answer within %d ms, only: %s",
                      TIMEOUT_MS, text);
        ssize_t n = recv(fd, text + got, ROOM - 1 - got, 0);
        if (n <= 0)
            return got;
        got += (size_t)n;
        text[got] = '\0';
    }
}

static void parse(struct answer *a, const char *text, size_t got, bool head_only)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (!end || sscanf(text, "HTTP/1.%*c %d", &a->status) != 1)
        return;
    size_t head = (size_t)(end - text) + 4, whole = whole_length(text, head_only);
    free(a->head);
    free(a->body);
    a->head = xstrndup(text, head);
    a->length = got - head;
    a->body = xmalloc(a->length + 1);
    memcpy(a->body, text + head, a->length);
    a->body[a->length] = '\0';
    a->whole = whole == SIZE_MAX || got == whole;
}

const struct answer *ask_on(int fd, const char *bytes, size_t length, bool head_only)
{
    struct answer *a = answer_new();
    unsigned long long start = now_ms();
    char *text = xcalloc(1, ROOM);
    for (size_t sent = 0; sent < length;) {
        ssize_t n = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* the other side had enough: its answer may be there all the same */
        sent += (size_t)n;
    }
    size_t got = receive(fd, text, head_only);
    parse(a, text, got, head_only);
    a->took_ms = (unsigned)(now_ms() - start);
    free(text);
    return a;
}

static const struct answer *ask_new(int port, const char *bytes, size_t length, bool head_only)
{
    int fd = net_connect(port);
    if (fd < 0)
        return answer_new();
    const struct answer *a = ask_on(fd, bytes, length, head_only);
    close(fd);
    return a;
}

const struct answer *ask_raw(int port, const char *bytes, size_t length)
{
    return ask_new(port, bytes, length, false);
}

const struct answer *ask_method(int port, const char *method, const char *path, const char *fields)
{
    char *request = xasprintf("%s %s HTTP/1.1\r\nHost: tally.test\r\n%sConnection: close\r\n\r\n",
                              method, path, fields);
    const struct answer *a = ask_new(port, request, strlen(request), strcmp(method, "HEAD") == 0);
    free(request);
    return a;
}

const struct answer *ask_get(int port, const char *path, const char *fields)
{
    return ask_method(port, "GET", path, fields);
}

const struct answer *ask_until(int port, const char *path, const char *fields, int status)
{
    unsigned long long end = now_ms() + UNTIL_MS;
    for (;;) {
        const struct answer *a = ask_get(port, path, fields);
        if (a->status == status)
            return a;
        ck_assert_msg(now_ms() < end, "%s on %d still answers %d, not %d: %s", path, port,
                      a->status, status, a->body);
        pause_ms(LOOK_EVERY_MS);
    }
}

const struct answer *ask_until_text(int port, const char *path, const char *fields,
                                    const char *text)
{
    unsigned long long end = now_ms() + UNTIL_MS;
    for (;;) {
        const struct answer *a = ask_get(port, path, fields);
        if (strstr(a->body, text))
            return a;
        ck_assert_msg(now_ms() < end, "%s on %d still has no \"%s\": %s%s", path, port, text,
                      a->head, a->body);
        pause_ms(LOOK_EVERY_MS);
    }
}

uint64_t number_in(const char *body)
{
    static const char *const before[] = {"id=\"counter\">", "\"visitor\":", "\"total\":"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        const char *at = strstr(body, before[i]);
        if (at)
            return strtoull(at + strlen(before[i]), NULL, 10);
    }
    return 0;
}

uint64_t answer_number(const struct answer *a)
{
    return number_in(a->body);
}

/* Adds up the series that begin with `prefix`; *ret_count of them. */
static double add_up(const char *text, const char *prefix, bool exact, size_t *ret_count)
{
    double sum = 0;
    size_t length = strlen(prefix);
    *ret_count = 0;
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, prefix, length) != 0 || (exact && line[length] != ' '))
            continue;
        const char *close = strstr(line, "} "), *end = strchr(line, '\n');
        const char *value = close && (!end || close < end) ? close + 1 : strchr(line, ' ');
        sum += value ? strtod(value, NULL) : 0;
        ++*ret_count;
    }
    return sum;
}

double metric_value(const char *text, const char *series)
{
    size_t count;
    double value = add_up(text, series, true, &count);
    return count ? value : -1;
}

double metric_sum(const char *text, const char *prefix)
{
    size_t count;
    return add_up(text, prefix, false, &count);
}
