/* The answer to a visit, as a page and as JSON. */
#include "frontend/page.h"

#include "frontend/template.h"
#include "frontend/user_list.h"
#include "lib/buf.h"
#include "lib/embed.h"
#include "lib/mem.h"
#include "lib/must.h"

#include <stdlib.h>
#include <string.h>

#ifndef TALLY_STYLE_HASH
#define TALLY_STYLE_HASH "sha256-unknown"
#endif

EMBED(page_source, "frontend/page.html");
EMBED(page_style, "frontend/style.css");

#define TEXT(literal) ((struct text){literal, sizeof(literal) - 1})
#define DIGITS 20

struct page {
    struct template *html, *json;
};

enum html_slot { HTML_COUNTER_CLASS, HTML_NUMBER, HTML_VISIT_NOTE, HTML_USERS, HTML_SLOTS };

static const char *const html_slots[] = {
    [HTML_COUNTER_CLASS] = "counter_class",
    [HTML_NUMBER] = "number",
    [HTML_VISIT_NOTE] = "visit_note",
    [HTML_USERS] = "users",
    [HTML_SLOTS] = NULL,
};

enum json_slot { JSON_NUMBER, JSON_USERS, JSON_DEGRADED, JSON_SLOTS };

static const char *const json_slots[] = {
    [JSON_NUMBER] = "number",
    [JSON_USERS] = "users",
    [JSON_DEGRADED] = "degraded",
    [JSON_SLOTS] = NULL,
};

static const char json_source[] =
    "{\"visitor\":{{number}},\"served_by\":{{served_by}},\"environment\":{{environment}},"
    "\"version\":{{version}}{{#with_users}},\"users\":{{users}}{{degraded}}{{/with_users}}}\n";

typedef void (*put_escaped)(struct buf *out, const char *text, size_t length);

/* Both sources know the same constants, each escaped in its own way. */
static struct template *make_template(const struct page_options *options, struct text source,
                                      const char *const *slots, put_escaped put)
{
    struct buf environment = {0}, served_by = {0}, version = {0};
    put(&environment, options->environment, strlen(options->environment));
    put(&served_by, options->served_by, strlen(options->served_by));
    put(&version, options->version, strlen(options->version));
    struct template_constant constants[] = {
        {"environment", {environment.data, environment.length}},
        {"served_by", {served_by.data, served_by.length}},
        {"version", {version.data, version.length}},
        {"style", {page_style, EMBED_LENGTH(page_style)}},
        {"with_users", options->with_users ? TEXT("yes") : TEXT("")},
        {NULL, {NULL, 0}},
    };
    struct template *result = template_new(source, constants, slots);
    buf_done(&environment);
    buf_done(&served_by);
    buf_done(&version);
    return result;
}

struct page *page_new(const struct page_options *options)
{
    struct page *p = xcalloc(1, sizeof(*p));
    struct text html = {page_source, EMBED_LENGTH(page_source)};
    p->html = make_template(options, html, html_slots, buf_put_html);
    p->json = make_template(options, TEXT(json_source), json_slots, buf_put_json);
    return p;
}

void page_free(struct page *p)
{
    if (!p)
        return;
    template_free(p->html);
    template_free(p->json);
    free(p);
}

const char *page_csp(void)
{
    return "default-src 'none'; style-src '" TALLY_STYLE_HASH "'; img-src data:; "
           "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

char *page_error_head(void)
{
    return xasprintf("<meta name=\"color-scheme\" content=\"light dark\">\n"
                     "<link rel=\"icon\" href=\"data:,\">\n<style>%s</style>\n",
                     page_style);
}

/* printf would be a good part of what a page costs. */
static struct text number_text(char digits[DIGITS], int64_t number)
{
    char *at = digits + DIGITS;
    uint64_t rest = (uint64_t)number;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    return (struct text){at, (size_t)(digits + DIGITS - at)};
}

void page_html(const struct page *p, const struct page_visit *visit, struct buf *out)
{
    char digits[DIGITS];
    struct text values[HTML_SLOTS] = {
        [HTML_COUNTER_CLASS] = TEXT(" class=\"missing\""),
        [HTML_NUMBER] = TEXT("unavailable"),
        [HTML_VISIT_NOTE] = TEXT("<div class=\"note\">Your visit could not be counted just now. "
                                 "Please try again in a moment.</div>\n"),
        [HTML_USERS] = TEXT("<div class=\"note\">The users are unavailable just now. "
                            "Please try again in a moment.</div>\n"),
    };
    if (visit->number > 0) {
        values[HTML_COUNTER_CLASS] = TEXT("");
        values[HTML_NUMBER] = number_text(digits, visit->number);
        values[HTML_VISIT_NOTE] = TEXT("");
    }
    if (visit->users)
        values[HTML_USERS] = (struct text){visit->users->html.data, visit->users->html.length};
    template_fill(p->html, values, out);
}

void page_json(const struct page *p, const struct page_visit *visit, struct buf *out)
{
    MUST(visit->number > 0);
    char digits[DIGITS];
    struct text values[JSON_SLOTS] = {
        [JSON_NUMBER] = number_text(digits, visit->number),
        [JSON_USERS] = TEXT("null"),
        [JSON_DEGRADED] = TEXT(",\"degraded\":[\"backend\"]"),
    };
    if (visit->users) {
        values[JSON_USERS] = (struct text){visit->users->json.data, visit->users->json.length};
        values[JSON_DEGRADED] = TEXT("");
    }
    template_fill(p->json, values, out);
}
