/* Parsers of request header fields. */
#include "lib/accept.h"
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { QUALITY_BAD = -1, QUALITY_FULL = 1000 };

/* A piece of a header field; not NUL-terminated. */
struct span {
    const char *at;
    size_t length;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
    while (s.length && is_blank(s.at[0])) {
        s.at++;
        s.length--;
    }
    while (s.length && is_blank(s.at[s.length - 1]))
        s.length--;
    return s;
}

static bool is_word(struct span s, const char *word)
{
    return s.length == strlen(word) && strncasecmp(s.at, word, s.length) == 0;
}

/* Cuts the piece before `separator` off the front of *rest; a separator in a quoted string is part
 * of the piece. */
static struct span cut(struct span *rest, char separator)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->length; i++) {
        char c = rest->at[i];
        if (c == '\\' && quoted && i + 1 < rest->length)
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == separator && !quoted)
            break;
    }
    struct span piece = {rest->at, i};
    size_t used = i < rest->length ? i + 1 : i;
    rest->at += used;
    rest->length -= used;
    return trim(piece);
}

/* A qvalue in thousandths: 0, 0.5, 1.000. */
static int quality(struct span s)
{
    if (!s.length || s.length > 5 || (s.at[0] != '0' && s.at[0] != '1'))
        return QUALITY_BAD;
    int value = (s.at[0] - '0') * QUALITY_FULL;
    if (s.length > 1 && s.at[1] != '.')
        return QUALITY_BAD;
    int unit = QUALITY_FULL / 10;
    for (size_t i = 2; i < s.length; i++, unit /= 10) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return QUALITY_BAD;
        value += (s.at[i] - '0') * unit;
    }
    return value <= QUALITY_FULL ? value : QUALITY_BAD;
}

/* The quality that parameters state. A media type with parameters of its own (level=1) is another
 * one than ours, except for the character set, which is ours. */
static int parameters_quality(struct span parameters)
{
    while (parameters.length) {
        struct span value = cut(&parameters, ';');
        struct span name = cut(&value, '=');
        if (is_word(name, "q"))
            return quality(trim(value));
        if (name.length && !is_word(name, "charset"))
            return QUALITY_BAD;
    }
    return QUALITY_FULL;
}

/* The best range that matched so far: a more specific one outranks. */
struct match {
    int specificity, quality;
};

static void offer(struct match *m, int specificity, int q)
{
    if (specificity > m->specificity || (specificity == m->specificity && q > m->quality))
        *m = (struct match){specificity, q};
}

static void offer_range(struct match *json, struct match *html, struct span range)
{
    struct span type = cut(&range, ';');
    int q = parameters_quality(range);
    if (q == QUALITY_BAD)
        return;
    if (is_word(type, "application/json"))
        offer(json, 3, q);
    else if (is_word(type, "text/html"))
        offer(html, 3, q);
    else if (is_word(type, "application/*"))
        offer(json, 2, q);
    else if (is_word(type, "text/*"))
        offer(html, 2, q);
    else if (is_word(type, "*/*")) {
        offer(json, 1, q);
        offer(html, 1, q);
    }
}

bool accept_prefers_json(const char *accept)
{
    struct match json = {0, 0}, html = {0, 0};
    struct span rest = {accept, accept ? strlen(accept) : 0};
    while (rest.length)
        offer_range(&json, &html, cut(&rest, ','));
    if (json.quality != html.quality)
        return json.quality > html.quality;
    return json.quality > 0 && json.specificity > html.specificity;
}

/* `length` lower-case hex digits; with `not_zero` they are not all 0. */
static bool is_hex(const char *text, size_t length, bool not_zero)
{
    bool all_zero = true;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        all_zero = all_zero && c == '0';
    }
    return !(not_zero && all_zero);
}

/* 00-<32 trace id>-<16 parent id>-<2 flags> */
bool traceparent_is_valid(const char *text)
{
    return text && strlen(text) == 55 && strncmp(text, "00-", 3) == 0 && text[35] == '-' &&
           text[52] == '-' && is_hex(text + 3, 32, true) && is_hex(text + 36, 16, true) &&
           is_hex(text + 53, 2, false);
}

bool request_id_is_valid(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";
    if (!text)
        return false;
    size_t length = strlen(text);
    return length >= 1 && length <= 64 && strspn(text, allowed) == length;
}

/* Sec-Purpose is a structured field: "prefetch;prerender", "prefetch;anonymous-client-ip". */
bool purpose_is_prefetch(const char *text)
{
    struct span rest = {text, text ? strlen(text) : 0};
    while (rest.length) {
        struct span item = cut(&rest, ',');
        while (item.length) {
            struct span word = cut(&item, ';');
            if (is_word(word, "prefetch") || is_word(word, "prerender"))
                return true;
        }
    }
    return false;
}
