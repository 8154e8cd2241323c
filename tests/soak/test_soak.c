/* Endurance: mixed visitors for SOAK_MINUTES, a failure each minute, and what is measured
 * meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/chaos.h"
#include "tests/support/crowd.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"

/* DESIGN. The play is one of chaos and ends in its verdict. What it adds is time: scripts/soak
 * reads from SOAK_DATA (lines of words with tabs between them) the memory and the descriptors of
 * each service second by second, and how long answers took in each thirtieth of the run, and judges
 * whether that grows. Both are about the calm: whatever overlaps a failure, or the two seconds
 * after the return of what had failed, is left out. Frontend and backend die early; then they only
 * stand still, so that one life of each is long. NGINX's own answer is asked for too: how long that
 * takes is the machine's doing. */
enum {
    MINUTES = 30,
    SLOTS = 30,
    FAILURE_EVERY_MOST_MS = 60000,
    FAILURE_EVERY_LEAST_MS = 12000,
    FROZEN_LEAST_MS = 1000,
    FROZEN_MOST_MS = 4000,
    AWAY_MOST_MS = 2000,
    SAMPLE_EVERY_MS = 1000,
    LAST_MS = 5000, /* without a failure */
    SLOW_CLIENTS = 10,
    UNFIT_ONE_IN = 1000, /* of the requests in the calm */
    DIED_EARLY = 4       /* so many of the failures end a service */
};

/* Rows of JSON and SLOW: chaos asks for the first itself, tests/support/crowd is the last. */
enum { JSON, NGINX_ALONE = 6, SLOW = 7, KINDS };

static const struct {
    const char *name;
    struct load_options load;
    bool direct; /* past NGINX */
    int status;
    bool counts;
} mix[KINDS] = {
    {"JSON", {.connections = 8, .pause_ms = 40}, false, 200, true},
    {"page",
     {.connections = 8, .pause_ms = 40, .fields = "Accept: text/html\r\n"},
     false,
     200,
     true},
    {"JSON, direct", {.connections = 4, .pause_ms = 40}, true, 200, true},
    {"total",
     {.connections = 2, .pause_ms = 50, .path = "/api/v1/visits", .asks_total = true},
     false,
     200,
     false},
    {"HEAD", {.connections = 2, .pause_ms = 50, .method = "HEAD"}, false, 200, false},
    {"not found", {.connections = 2, .pause_ms = 50, .path = "/nothing"}, false, 404, false},
    {"NGINX alone", {.connections = 2, .pause_ms = 20, .path = "/healthz"}, false, 200, false},
    {"slow client", {.connections = 0}, false, 200, true},
};

static void freeze(struct chaos *c, unsigned part, unsigned most_ms)
{
    chaos_freeze(c, part, FROZEN_LEAST_MS, most_ms);
}

static const struct {
    const char *name;
    void (*happen)(struct chaos *c, unsigned part, unsigned most_ms);
    unsigned part, most_ms;
} failures[] = {
    {"frontend killed", chaos_kill, STACK_FRONTEND, AWAY_MOST_MS},
    {"backend killed", chaos_kill, STACK_BACKEND, AWAY_MOST_MS},
    {"frontend replaced", chaos_replace, STACK_FRONTEND, AWAY_MOST_MS},
    {"backend replaced", chaos_replace, STACK_BACKEND, AWAY_MOST_MS},
    {"Redis killed", chaos_kill, STACK_REDIS, AWAY_MOST_MS},
    {"frontend frozen", freeze, STACK_FRONTEND, FROZEN_MOST_MS},
    {"MariaDB killed", chaos_kill, STACK_DATABASE, AWAY_MOST_MS},
    {"backend frozen", freeze, STACK_BACKEND, FROZEN_MOST_MS},
    {"NGINX killed", chaos_kill, STACK_NGINX, AWAY_MOST_MS},
    {"Redis frozen", freeze, STACK_REDIS, FROZEN_MOST_MS},
    {"MariaDB replaced", chaos_replace, STACK_DATABASE, AWAY_MOST_MS},
    {"NGINX frozen", freeze, STACK_NGINX, FROZEN_MOST_MS},
    {"Redis replaced", chaos_replace, STACK_REDIS, AWAY_MOST_MS},
    {"MariaDB frozen", freeze, STACK_DATABASE, FROZEN_MOST_MS},
    {"NGINX replaced", chaos_replace, STACK_NGINX, AWAY_MOST_MS},
};

enum { FAILURES = sizeof failures / sizeof *failures };

/* From a failure until all is calm again, in ms after the beginning. */
struct window {
    uint32_t begin_ms, end_ms;
};

struct soak {
    struct chaos *chaos;
    struct crowd *crowd;
    FILE *out;
    unsigned run_ms, every_ms, slot_ms;
    struct window *windows;
    unsigned count; /* of windows */
};

static uint32_t since_begin_ms(const struct soak *s)
{
    return (uint32_t)(now_ms() - s->chaos->begun_ms);
}

/* ---- the run ---- */

static void sample(struct soak *s, const char *name, unsigned part)
{
    const struct process *p = stack_process(s->chaos->stack, part);
    fprintf(s->out, "sample\t%u\t%s\t%d\t%lu\t%lu\t%lu\t%u\n", since_begin_ms(s), name, (int)p->pid,
            process_rss_kib(p), process_pss_kib(p), process_anonymous_kib(p),
            process_descriptors(p));
}

static void fail_once(struct soak *s)
{
    unsigned n = s->count,
             i = n < FAILURES ? n : DIED_EARLY + (n - DIED_EARLY) % (FAILURES - DIED_EARLY);
    uint32_t begin_ms = since_begin_ms(s);
    failures[i].happen(s->chaos, failures[i].part, failures[i].most_ms);
    uint32_t returned_ms = since_begin_ms(s);
    chaos_must_recover(s->chaos);
    uint32_t whole_ms = since_begin_ms(s);
    s->windows = xrealloc(s->windows, (n + 1) * sizeof *s->windows);
    s->windows[s->count++] = (struct window){begin_ms, whole_ms + CHAOS_RECOVERY_MS};
    fprintf(s->out, "failure\t%u\t%s\t%u\t%u\n", begin_ms, failures[i].name, returned_ms - begin_ms,
            whole_ms - returned_ms);
    fflush(s->out);
}

static bool is_calm_now(const struct soak *s)
{
    return s->count == 0 || since_begin_ms(s) > s->windows[s->count - 1].end_ms;
}

static void endure(struct soak *s)
{
    uint32_t next_failure = s->every_ms / 2, next_sample = 0;
    for (uint32_t now; (now = since_begin_ms(s)) < s->run_ms;) {
        if (now >= next_failure && now + LAST_MS < s->run_ms) {
            fail_once(s);
            next_failure += s->every_ms;
        } else if (now >= next_sample && is_calm_now(s)) {
            sample(s, "frontend", STACK_FRONTEND);
            sample(s, "backend", STACK_BACKEND);
            next_sample = now + SAMPLE_EVERY_MS;
        }
        pause_ms(20);
    }
}

/* ---- what came of it ---- */

static bool is_fit(const struct load_record *r)
{
    if (r->end != LOAD_ANSWERED || r->status != mix[r->kind].status)
        return false;
    if (mix[r->kind].load.asks_total)
        return r->number != 0;
    return !mix[r->kind].counts || (r->number != 0 && r->users);
}

static bool is_calm(const struct soak *s, const struct load_record *r)
{
    uint32_t began_ms = r->at_ms - r->took_us / 1000;
    unsigned low = 0, high = s->count; /* the first window that ends after the request began */
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (s->windows[middle].end_ms < began_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low == s->count || s->windows[low].begin_ms > r->at_ms;
}

static unsigned slot_ms; /* of the comparison */

static int by_kind_slot_time(const void *a, const void *b)
{
    const struct load_record *x = a, *y = b;
    uint32_t i = x->at_ms / slot_ms, j = y->at_ms / slot_ms;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (i != j)
        return i < j ? -1 : 1;
    return x->took_us < y->took_us ? -1 : x->took_us > y->took_us;
}

static void tell_slot(struct soak *s, const struct load_record *first, size_t n)
{
    fprintf(s->out, "slot\t%u\t%s\t%zu\t%u\t%u\t%u\n", first->at_ms / slot_ms * slot_ms,
            mix[first->kind].name, n, first[n / 2].took_us, first[n * 99 / 100].took_us,
            first[n - 1].took_us);
}

/* The records of the calm, slot by slot; returns how many of them were not as they should be. */
static size_t tell_calm(struct soak *s, const struct load_result *r)
{
    struct load_record *calm = xcalloc(r->count + 1, sizeof *calm);
    size_t n = 0, unfit = 0;
    for (size_t i = 0; i < r->count; i++)
        if (is_calm(s, &r->records[i])) {
            unfit += !is_fit(&r->records[i]);
            calm[n++] = r->records[i];
        }
    slot_ms = s->slot_ms;
    qsort(calm, n, sizeof *calm, by_kind_slot_time);
    for (size_t i = 0, j = 0; i < n; i = j) {
        while (j < n && calm[j].kind == calm[i].kind &&
               calm[j].at_ms / slot_ms == calm[i].at_ms / slot_ms)
            j++;
        tell_slot(s, &calm[i], j - i);
    }
    free(calm);
    fprintf(s->out, "fact\tcalm\t%zu\nfact\tunfit\t%zu\n", n, unfit);
    return unfit * UNFIT_ONE_IN > n;
}

static uint64_t highest_total(const struct load_result *r)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->records[i].is_total && r->records[i].number > highest)
            highest = r->records[i].number;
    return highest;
}

static void tell(struct soak *s, const struct load_result *r)
{
    size_t by_kind[KINDS] = {0}, fit[KINDS] = {0};
    for (size_t i = 0; i < r->count; i++) {
        by_kind[r->records[i].kind]++;
        fit[r->records[i].kind] += is_fit(&r->records[i]);
    }
    for (int k = 0; k < KINDS; k++)
        fprintf(s->out, "kind\t%s\t%zu\t%zu\n", mix[k].name, by_kind[k], fit[k]);
    fprintf(s->out, "fact\tvisits\t%zu\nfact\thighest\t%lu\nfact\tcounter\t%llu\n", r->visits,
            (unsigned long)r->highest, stack_counter(s->chaos->stack));
    fprintf(s->out, "fact\tslowest_return\t%llu\n", s->chaos->slowest_back);
}

/* ---- the play ---- */

static unsigned soak_minutes(void)
{
    const char *text = getenv("SOAK_MINUTES");
    unsigned minutes = text ? (unsigned)strtoul(text, NULL, 10) : 0;
    return minutes ? minutes : MINUTES;
}

static void begin(struct soak *s)
{
    const char *path = getenv("SOAK_DATA");
    s->out = fopen(path ? path : "build/reports/soak.tsv", "we");
    ck_assert_ptr_nonnull(s->out);
    s->run_ms = soak_minutes() * 60000;
    s->slot_ms = s->run_ms / SLOTS;
    s->every_ms = s->slot_ms < FAILURE_EVERY_LEAST_MS  ? FAILURE_EVERY_LEAST_MS
                  : s->slot_ms > FAILURE_EVERY_MOST_MS ? FAILURE_EVERY_MOST_MS
                                                       : s->slot_ms;
    s->chaos = chaos_begin(&(struct chaos_options){.parts = STACK_ALL | STACK_NGINX,
                                                   .workers = 2,
                                                   .front_suffers = true,
                                                   .connections = mix[JSON].load.connections,
                                                   .pause_ms = mix[JSON].load.pause_ms,
                                                   .more_statuses = {404, 502, 504}});
    struct stack *stack = s->chaos->stack;
    for (unsigned k = JSON + 1; k < SLOW; k++) {
        struct load_options load = mix[k].load;
        load.kind = (uint8_t)k;
        load.port[0] = mix[k].direct      ? stack->port
                       : k == NGINX_ALONE ? stack->nginx_health_port
                                          : 0;
        chaos_add_load(s->chaos, &load);
    }
    s->crowd = crowd_start(&(struct crowd_options){.port = {stack->nginx_port, stack->port},
                                                   .slow = SLOW_CLIENTS,
                                                   .kind = SLOW,
                                                   .zero_ms = s->chaos->begun_ms,
                                                   .random = chaos_random(1U << 31)});
    fprintf(s->out, "fact\trun_ms\t%u\nfact\tslot_ms\t%u\nfact\tevery_ms\t%u\n", s->run_ms,
            s->slot_ms, s->every_ms);
}

START_TEST(nothing_grows_and_nothing_is_lost)
{
    struct soak s = {0};
    begin(&s);
    endure(&s);
    struct load_result slow = crowd_stop(s.crowd);
    struct load_result r = chaos_collect(s.chaos);
    load_merge(&r, &slow);
    tell(&s, &r);
    bool unfit = tell_calm(&s, &r);
    ck_assert_int_eq(fclose(s.out), 0);
    ck_assert_uint_le(highest_total(&r), stack_counter(s.chaos->stack));
    chaos_judge(s.chaos, &r);
    ck_assert_msg(!unfit, "more than one request in %d failed while nothing was wrong",
                  UNFIT_ONE_IN);
    free(s.windows);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("soak");
    TCase *c = tcase_create("soak");
    tcase_set_timeout(c, 300 + 60 * (int)soak_minutes());
    tcase_add_test(c, nothing_grows_and_nothing_is_lost);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
