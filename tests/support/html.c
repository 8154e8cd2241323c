/* A strict look at HTML, stricter than any browser: for pages that carry hostile text. */
#include "tests/support/html.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define MAX_DEPTH 32
#define MAX_NAME 16

struct checker {
    const char *at, *end;
    char open[MAX_DEPTH][MAX_NAME];
    int depth;
};

static bool is_void(const char *name)
{
    static const char *const names[] = {"!DOCTYPE", "meta", "link", "br", NULL};
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool skip_reference(struct checker *c)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&nbsp;", NULL};
    for (int i = 0; known[i]; i++) {
        size_t length = strlen(known[i]);
        if ((size_t)(c->end - c->at) >= length && memcmp(c->at, known[i], length) == 0) {
            c->at += length;
            return true;
        }
    }
    return false;
}

static const char *check_text(struct checker *c)
{
    while (c->at < c->end && *c->at != '<') {
        unsigned char byte = (unsigned char)*c->at;
        if ((byte < ' ' && byte != '\n') || byte == 0x7F)
            return "a control character";
        if (byte == '"' || byte == '>' || byte == '\'')
            return "a character that is not escaped";
        if (byte != '&')
            c->at++;
        else if (!skip_reference(c))
            return "an & begins no character reference";
    }
    return NULL;
}

static bool take_name(struct checker *c, char name[MAX_NAME])
{
    size_t length = 0;
    while (c->at < c->end && (isalnum((unsigned char)*c->at) || *c->at == '!')) {
        if (length == MAX_NAME - 1)
            return false;
        name[length++] = *c->at++;
    }
    name[length] = '\0';
    return length > 0;
}

/* Steps over attributes and the slash of an empty element. */
static const char *check_attributes(struct checker *c, bool *ret_is_empty)
{
    *ret_is_empty = false;
    for (; c->at < c->end && *c->at != '>'; c->at++) {
        if (*c->at == '<' || *c->at == '\'')
            return "a tag is not ended";
        *ret_is_empty = *c->at == '/';
        if (*c->at != '"')
            continue;
        c->at = memchr(c->at + 1, '"', (size_t)(c->end - c->at - 1));
        if (!c->at)
            return "an attribute is not ended";
    }
    return c->at < c->end ? NULL : "a tag is not ended";
}

static const char *skip_style(struct checker *c)
{
    c->at = memmem(c->at, (size_t)(c->end - c->at), "</style>", 8);
    return c->at ? NULL : "the style is not ended";
}

static const char *check_open(struct checker *c)
{
    char name[MAX_NAME];
    bool is_empty;
    if (!take_name(c, name))
        return "a < begins no tag";
    const char *wrong = check_attributes(c, &is_empty);
    if (wrong)
        return wrong;
    c->at++;
    if (is_void(name) || is_empty)
        return NULL;
    if (c->depth == MAX_DEPTH)
        return "tags nest too deeply";
    strcpy(c->open[c->depth++], name);
    return strcmp(name, "style") == 0 ? skip_style(c) : NULL;
}

static const char *check_close(struct checker *c)
{
    char name[MAX_NAME];
    if (!take_name(c, name) || c->at == c->end || *c->at != '>')
        return "a closing tag is not ended";
    c->at++;
    if (c->depth == 0 || strcmp(c->open[c->depth - 1], name) != 0)
        return "a closing tag closes nothing";
    c->depth--;
    return NULL;
}

static const char *check_tag(struct checker *c)
{
    c->at++;
    if (c->at < c->end && *c->at == '/') {
        c->at++;
        return check_close(c);
    }
    return check_open(c);
}

const char *html_check(const char *text, size_t length)
{
    struct checker c = {.at = text, .end = text + length};
    while (c.at < c.end) {
        const char *wrong = check_text(&c);
        if (!wrong && c.at < c.end)
            wrong = check_tag(&c);
        if (wrong)
            return wrong;
    }
    return c.depth == 0 ? NULL : "a tag is not closed";
}
