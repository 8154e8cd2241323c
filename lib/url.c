/* URLs of stores. Messages never quote the text: it may hold a password. */
#include "lib/url.h"
#include "lib/mem.h"
#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_MAX = 253, PORT_MAX = 65535 };

/* Where the parts lie in the text; `at` NULL is an absent part. */
struct part {
    const char *at;
    size_t length;
};

struct parts {
    struct part scheme, user, password, host, port, path, query;
};

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static struct part part_between(const char *start, const char *end)
{
    return (struct part){start, (size_t)(end - start)};
}

/* The first of `set` in the part, or the part's end. */
static const char *part_find(struct part part, const char *set)
{
    for (size_t i = 0; i < part.length; i++)
        if (strchr(set, part.at[i]))
            return part.at + i;
    return part.at + part.length;
}

static const char *part_find_last(struct part part, char c)
{
    return part.length ? memrchr(part.at, c, part.length) : NULL;
}

static bool part_is(struct part part, bool (*allowed)(char))
{
    for (size_t i = 0; i < part.length; i++)
        if (!allowed(part.at[i]))
            return false;
    return part.length > 0;
}

static bool in_scheme(char c)
{
    return is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
}

static bool in_host(char c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
}

/* What the text must be percent-encoded for, wherever it stands. */
static const char *check_bytes(const char *text)
{
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7F)
            return "white space and control characters must be percent-encoded";
        if (*c != '%')
            continue;
        if (hex_value(c[1]) < 0 || hex_value(c[2]) < 0)
            return "a % must be followed by two hexadecimal digits";
        if (c[1] == '0' && c[2] == '0')
            return "%00 is not allowed";
    }
    return NULL;
}

/* user:password, up to the first colon and from there on. */
static void split_user(struct part info, struct parts *p)
{
    const char *end = info.at + info.length;
    const char *colon = part_find(info, ":");
    p->user = part_between(info.at, colon);
    if (colon < end)
        p->password = part_between(colon + 1, end);
}

/* Cuts the host off the front of *rest. */
static const char *split_host(struct part *rest, struct parts *p)
{
    const char *end = rest->at + rest->length;
    if (!rest->length || rest->at[0] != '[') {
        const char *host_end = part_find(*rest, ":/?#");
        p->host = part_between(rest->at, host_end);
        *rest = part_between(host_end, end);
        if (!p->host.length)
            return "the host is missing";
        return part_is(p->host, in_host) && p->host.length <= HOST_MAX ? NULL
                                                                       : "the host is not valid";
    }
    const char *bracket = part_find(*rest, "]");
    if (bracket == end)
        return "the ] after the IPv6 address is missing";
    p->host = part_between(rest->at + 1, bracket);
    *rest = part_between(bracket + 1, end);
    char address[INET6_ADDRSTRLEN] = "";
    struct in6_addr binary;
    if (p->host.length < sizeof(address))
        memcpy(address, p->host.at, p->host.length);
    return inet_pton(AF_INET6, address, &binary) == 1 ? NULL : "the IPv6 address is not valid";
}

/* [:port][/path][?query] */
static const char *split_tail(struct part rest, struct parts *p)
{
    const char *end = rest.at + rest.length;
    if (part_find(rest, "#") < end)
        return "a # must be written as %23";
    const char *query = part_find(rest, "?");
    const char *path = part_find(part_between(rest.at, query), "/");
    if (rest.at < path && rest.at[0] != ':')
        return "after the host only :port, /path or ?query may follow";
    if (rest.at < path)
        p->port = part_between(rest.at + 1, path);
    if (path < query)
        p->path = part_between(path + 1, query);
    if (query < end)
        p->query = part_between(query + 1, end);
    return NULL;
}

static const char *split(const char *text, struct parts *p)
{
    const char *separator = strstr(text, "://");
    if (!separator)
        return "it must begin with a scheme and ://";
    p->scheme = part_between(text, separator);
    if (!part_is(p->scheme, in_scheme) || !is_alpha(text[0]))
        return "the scheme is not valid";
    struct part rest = part_between(separator + 3, text + strlen(text));
    const char *at = part_find_last(rest, '@');
    if (at) {
        const char *end = rest.at + rest.length;
        split_user(part_between(rest.at, at), p);
        rest = part_between(at + 1, end);
    }
    const char *wrong = split_host(&rest, p);
    return wrong ? wrong : split_tail(rest, p);
}

static const char *parse_port(struct part part, int *ret_port)
{
    int port = 0;
    if (!part.at)
        return NULL;
    for (size_t i = 0; i < part.length && is_digit(part.at[i]) && port <= PORT_MAX; i++)
        port = port * 10 + (part.at[i] - '0');
    if (!part_is(part, is_digit) || port < 1 || port > PORT_MAX)
        return "the port must be a number from 1 to 65535";
    *ret_port = port;
    return NULL;
}

/* check_bytes has seen that every escape is whole. */
static char *decode(struct part part)
{
    char *text = xmalloc(part.length + 1);
    size_t length = 0;
    for (size_t i = 0; i < part.length; i++) {
        char c = part.at[i];
        if (c == '%') {
            c = (char)(hex_value(part.at[i + 1]) * 16 + hex_value(part.at[i + 2]));
            i += 2;
        }
        text[length++] = c;
    }
    text[length] = '\0';
    return text;
}

static char *lower(struct part part)
{
    char *text = xstrndup(part.at, part.length);
    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return text;
}

const char *url_parse(const char *text, struct url *ret_url)
{
    struct parts p = {0};
    int port = 0;
    const char *wrong = check_bytes(text);
    if (!wrong)
        wrong = split(text, &p);
    if (!wrong)
        wrong = parse_port(p.port, &port);
    if (wrong)
        return wrong;
    *ret_url = (struct url){
        .scheme = lower(p.scheme),
        .user = p.user.length ? decode(p.user) : NULL,
        .password = p.password.at ? decode(p.password) : NULL,
        .host = xstrndup(p.host.at, p.host.length),
        .port = port,
        .path = decode(p.path),
        .query = p.query.at ? xstrndup(p.query.at, p.query.length) : NULL,
    };
    return NULL;
}

void url_done(struct url *url)
{
    free(url->scheme);
    free(url->user);
    free(url->password);
    free(url->host);
    free(url->path);
    free(url->query);
    *url = (struct url){0};
}
