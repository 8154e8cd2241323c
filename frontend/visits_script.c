/* What is said to Redis of visits: the script's call, its answer, the keys. */
#include "frontend/visits_script.h"
#include "lib/embed.h"
#include "lib/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

EMBED(visits_lua, "frontend/visits.lua");

enum { NUMBER_MAX = 24, DIGITS_MAX = 16 };
static const int64_t EXACT_MAX = ((int64_t)1 << 53) - 1; /* the script's highest */

/* How the script came to its result; bits. */
enum { HOW_REMEMBERED = 1, HOW_FLOOR = 2, HOW_ALL = 3 };

/* Without comments and indentation: it travels on every connection. */
char *visits_script(void)
{
    char *script = xmalloc(EMBED_LENGTH(visits_lua) + 2), *to = script;
    const char *from = visits_lua;
    while (*from) {
        from += strspn(from, " \n");
        size_t length = strcspn(from, "\n");
        if (length && strncmp(from, "--", 2) != 0) {
            memcpy(to, from, length);
            to += length;
            *to++ = '\n';
        }
        from += length;
    }
    *to = '\0';
    return script;
}

void producer_renew(struct producer *p)
{
    unsigned char random[PRODUCER_BYTES];
    MUST(getrandom(random, sizeof random, 0) == sizeof random);
    char *to = stpcpy(p->record, VISITS_RECORD);
    for (size_t i = 0; i < sizeof random; i++)
        to += snprintf(to, 3, "%02x", random[i]);
    p->seq = 0;
}

int visits_send_script(struct redis *r, const char *script, redis_on_reply on_reply, void *arg)
{
    const char *argv[] = {"SCRIPT", "LOAD", script};
    return redis_greet(r, on_reply, arg, sizeof argv / sizeof *argv, argv, NULL);
}

bool visits_read_name(const struct redis_value *value, char ret_name[SCRIPT_NAME + 1])
{
    if (value->kind != REDIS_TEXT || value->length != SCRIPT_NAME)
        return false;
    memcpy(ret_name, value->text, SCRIPT_NAME + 1);
    return true;
}

int visits_send(struct redis *r, redis_send *send, const struct visits_call *call,
                redis_on_reply on_reply, void *arg)
{
    char seq[NUMBER_MAX], n[NUMBER_MAX], floor[NUMBER_MAX];
    snprintf(seq, sizeof seq, "%llu", (unsigned long long)call->producer->seq);
    snprintf(n, sizeof n, "%llu", (unsigned long long)call->n);
    snprintf(floor, sizeof floor, "%lld", (long long)call->floor);
    const char *argv[] = {
        call->script ? "EVAL" : "EVALSHA",
        call->script ? call->script : call->name,
        "2",
        VISITS_COUNTER,
        call->producer->record,
        seq,
        n,
        floor,
    };
    return send(r, on_reply, arg, sizeof argv / sizeof *argv, argv, NULL);
}

bool visits_read_answer(const struct redis_value *value, uint64_t n,
                        struct visits_answer *ret_answer)
{
    if (value->kind != REDIS_ARRAY || value->count != 2)
        return false;
    const struct redis_value *last = &value->items[0], *how = &value->items[1];
    if (last->kind != REDIS_INTEGER || how->kind != REDIS_INTEGER)
        return false;
    if (last->integer < (int64_t)n || last->integer > EXACT_MAX)
        return false;
    if (how->integer < 0 || how->integer > HOW_ALL)
        return false;
    *ret_answer = (struct visits_answer){.last = last->integer,
                                         .remembered = how->integer & HOW_REMEMBERED,
                                         .floor_needed = how->integer & HOW_FLOOR};
    return true;
}

bool visits_is_stale(const struct redis_value *value)
{
    return value->kind == REDIS_ERROR && strncmp(value->text, "STALE ", 6) == 0;
}

bool visits_read_total(const struct redis_value *value, int64_t *ret_total)
{
    int64_t total = 0;
    if (value->kind == REDIS_TEXT) {
        if (value->length == 0 || value->length > DIGITS_MAX ||
            strspn(value->text, "0123456789") != value->length)
            return false;
        total = strtoll(value->text, NULL, 10);
    } else if (value->kind != REDIS_NIL) {
        return false;
    }
    if (total > EXACT_MAX)
        return false;
    *ret_total = total;
    return true;
}
