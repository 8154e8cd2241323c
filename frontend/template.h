/* Texts with named slots, split once and filled often. */
#pragma once

#include <stddef.h>

/* DESIGN. A source is text with {{name}} in it. Names of constants are replaced when the template
 * is made; names of slots are filled anew each time, by the slot's place in the list. What stands
 * between {{#name}} and {{/name}} is kept only when the constant `name` is not empty; such parts do
 * not nest. A name that is neither is a bug. Nothing is escaped here: values arrive escaped. A
 * template never changes: threads may share it. */
struct buf;
struct template;

struct text {
    const char *data; /* borrowed */
    size_t length;
};

struct template_constant {
    const char *name;
    struct text value;
};

/* Both lists end with a NULL name; their texts are borrowed for the call. */
struct template *template_new(struct text source, const struct template_constant *constants,
                              const char *const *slots);
void template_free(struct template *t);
/* Appends the text, values[i] where slots[i] stands. */
void template_fill(const struct template *t, const struct text *values, struct buf *out);
