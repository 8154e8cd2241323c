/* Texts with named slots, split once and filled often. */
#include "frontend/template.h"

#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/must.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Filling a template is part of every visit: nothing but copies into room of the exact size. */
struct segment {
    size_t start, length; /* of the literal text before the slot */
    size_t slot;          /* NO_SLOT: the text ends here */
};

#define NO_SLOT SIZE_MAX

struct template
{
    struct buf literal; /* all literal text, one segment's behind the other's */
    struct segment *segments;
    size_t count;
};

/* What template_new carries along. */
struct splitter {
    struct template *t;
    const struct template_constant *constants;
    const char *const *slots;
    size_t start; /* of the literal text that no segment has yet */
    bool skips;
};

static bool name_is(const char *name, struct text wanted)
{
    return strlen(name) == wanted.length && memcmp(name, wanted.data, wanted.length) == 0;
}

static const struct text *find_constant(const struct splitter *s, struct text name)
{
    for (const struct template_constant *c = s->constants; c->name; c++)
        if (name_is(c->name, name))
            return &c->value;
    return NULL;
}

static size_t find_slot(const struct splitter *s, struct text name)
{
    for (size_t i = 0; s->slots[i]; i++)
        if (name_is(s->slots[i], name))
            return i;
    NEVER("a template names neither a constant nor a slot");
}

static void end_segment(struct splitter *s, size_t slot)
{
    struct template *t = s->t;
    t->segments = xrealloc(t->segments, (t->count + 1) * sizeof(*t->segments));
    t->segments[t->count++] =
        (struct segment){.start = s->start, .length = t->literal.length - s->start, .slot = slot};
    s->start = t->literal.length;
}

static void put_literal(struct splitter *s, const char *data, size_t length)
{
    if (!s->skips && length > 0)
        buf_append(&s->t->literal, data, length);
}

static void begin_part(struct splitter *s, struct text name)
{
    const struct text *condition = find_constant(s, name);
    MUST(condition);
    s->skips = condition->length == 0;
}

static void put_name(struct splitter *s, struct text name)
{
    MUST(name.length > 0);
    struct text rest = {name.data + 1, name.length - 1};
    if (name.data[0] == '#') {
        begin_part(s, rest);
        return;
    }
    if (name.data[0] == '/') {
        s->skips = false;
        return;
    }
    const struct text *constant = find_constant(s, name);
    if (constant)
        put_literal(s, constant->data, constant->length);
    else if (!s->skips)
        end_segment(s, find_slot(s, name));
}

static void split(struct splitter *s, struct text source)
{
    const char *at = source.data, *end = source.data + source.length;
    for (;;) {
        const char *open = memmem(at, (size_t)(end - at), "{{", 2);
        if (!open)
            break;
        const char *close = memmem(open, (size_t)(end - open), "}}", 2);
        MUST(close);
        put_literal(s, at, (size_t)(open - at));
        put_name(s, (struct text){open + 2, (size_t)(close - open - 2)});
        at = close + 2;
    }
    put_literal(s, at, (size_t)(end - at));
}

struct template *template_new(struct text source, const struct template_constant *constants,
                              const char *const *slots)
{
    struct template *t = xcalloc(1, sizeof(*t));
    struct splitter s = {.t = t, .constants = constants, .slots = slots};
    split(&s, source);
    end_segment(&s, NO_SLOT);
    return t;
}

void template_free(struct template *t)
{
    if (!t)
        return;
    buf_done(&t->literal);
    free(t->segments);
    free(t);
}

static size_t filled_length(const struct template *t, const struct text *values)
{
    size_t length = t->literal.length;
    for (size_t i = 0; i < t->count; i++)
        if (t->segments[i].slot != NO_SLOT)
            length += values[t->segments[i].slot].length;
    return length;
}

static char *put(char *at, const char *data, size_t length)
{
    return length > 0 ? mempcpy(at, data, length) : at;
}

void template_fill(const struct template *t, const struct text *values, struct buf *out)
{
    size_t length = filled_length(t, values);
    buf_reserve(out, length);
    char *at = out->data + out->length;
    for (size_t i = 0; i < t->count; i++) {
        const struct segment *s = &t->segments[i];
        at = put(at, t->literal.data + s->start, s->length);
        if (s->slot != NO_SLOT)
            at = put(at, values[s->slot].data, values[s->slot].length);
    }
    *at = '\0';
    out->length += length;
}
