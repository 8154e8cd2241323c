/* A play of disaster: a whole Tally under load, things that go wrong, and one verdict at the end.
 */
#include "tests/support/chaos.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/lateness.h"
#include "tests/support/net.h"
#include "tests/support/preload.h"

enum {
    CONNECTIONS = 24,
    PAUSE_MS = 4,
    WARM_VISITS = 2000,
    SECONDS = 60,
    PLAYS_SHARE = 6, /* of CHAOS_SECONDS is a play's length */
    PLAY_LEAST_MS = 1000,
    PLAY_MOST_MS = 15000,
    ROUNDS_LEAST = 2,
    NGINX_LEAVES_OUT_MS = 2000, /* a frontend that refused it: one second, counted in whole ones */
    RSS_MORE_KIB = 8 * 1024,
    DESCRIPTORS_MORE = 2,
    CONNECTION_TIMEOUT_S = 3,
    CALM_MS = 3000 * CONNECTION_TIMEOUT_S
};

/* ---- chance and time ---- */

unsigned chaos_seconds(void)
{
    const char *text = getenv("CHAOS_SECONDS");
    unsigned seconds = text ? (unsigned)strtoul(text, NULL, 10) : 0;
    return seconds ? seconds : SECONDS;
}

/* So many milliseconds, on a machine that is not ours alone CHAOS_PATIENCE times as many. */
unsigned chaos_patient_ms(unsigned ms)
{
    const char *text = getenv("CHAOS_PATIENCE");
    unsigned times = text ? (unsigned)strtoul(text, NULL, 10) : 0;
    return ms * (times ? times : 1);
}

/* What is too late: the patience, and by how much the machine itself was late. */
static unsigned limit_ms(const struct chaos *c, unsigned ms)
{
    return chaos_patient_ms(ms) + lateness_worst_ms(c->lateness);
}

static unsigned long long next_random(void)
{
    static unsigned long long state;
    if (state == 0) {
        const char *seed = getenv("CHAOS_SEED");
        state = 0x9e3779b97f4a7c15ULL * (1 + (seed ? strtoull(seed, NULL, 10) : 0));
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

unsigned chaos_random(unsigned limit)
{
    return (unsigned)((next_random() >> 16) % limit);
}

void chaos_pass(unsigned least_ms, unsigned most_ms)
{
    pause_ms(least_ms + chaos_random(most_ms - least_ms + 1));
}

static unsigned play_ms(void)
{
    unsigned ms = chaos_seconds() * 1000 / PLAYS_SHARE;
    return ms < PLAY_LEAST_MS ? PLAY_LEAST_MS : ms > PLAY_MOST_MS ? PLAY_MOST_MS : ms;
}

bool chaos_goes_on(struct chaos *c)
{
    return c->rounds < ROUNDS_LEAST || now_ms() < c->ends_ms;
}

/* ---- what happens to a process ---- */

void chaos_kill(struct chaos *c, unsigned part, unsigned most_ms)
{
    process_kill(stack_process(c->stack, part));
    chaos_pass(0, most_ms);
    stack_restart(c->stack, part);
}

void chaos_freeze(struct chaos *c, unsigned part, unsigned least_ms, unsigned most_ms)
{
    struct process *p = stack_process(c->stack, part);
    process_freeze(p);
    chaos_pass(least_ms, most_ms);
    process_thaw(p);
}

void chaos_replace(struct chaos *c, unsigned part, unsigned most_ms)
{
    struct process *p = stack_process(c->stack, part);
    process_terminate(p);
    ck_assert_int_eq(process_wait(p, PATIENCE_MS), 0);
    chaos_pass(0, most_ms);
    stack_restart(c->stack, part);
}

/* ---- the stage ---- */

static void run_visitors(struct chaos *c, size_t visits)
{
    struct load *load = load_start(&(struct load_options){
        .port = {c->stack->port}, .connections = c->options.connections, .visits = visits});
    struct load_result r = load_finish(load, PATIENCE_MS);
    load_must_be_answered(&r);
    load_done(&r);
}

/* Memory that many connections have needed once stays with the process. */
static void come_and_go(struct chaos *c)
{
    int *crowd = xcalloc(c->options.crowd + 1, sizeof *crowd);
    for (unsigned i = 0; i < c->options.crowd; i++) {
        ck_assert_int_ge(crowd[i] = net_connect(c->stack->port), 0);
        ck_assert_int_eq(send(crowd[i], "G", 1, MSG_NOSIGNAL), 1);
    }
    ask_get(c->stack->port, "/healthz", "");
    for (unsigned i = 0; i < c->options.crowd; i++)
        close(crowd[i]);
    free(crowd);
}

static unsigned wait_few_descriptors(const struct process *p, unsigned few)
{
    unsigned long long end = now_ms() + chaos_patient_ms(CALM_MS);
    while (process_descriptors(p) > few && now_ms() < end)
        pause_ms(20);
    return process_descriptors(p);
}

static void remember(struct chaos *c)
{
    struct process *const all[] = {c->stack->frontend[0], c->stack->frontend[1], c->stack->backend};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            c->before[i] = (struct chaos_service){.process = all[i],
                                                  .pid = all[i]->pid,
                                                  .descriptors = process_descriptors(all[i]),
                                                  .rss_kib = process_rss_kib(all[i])};
}

static void make_env(struct chaos *c)
{
    char **e = c->env;
    const char *redis = c->options.by_name ? PRELOAD_REDIS_NAME : "127.0.0.1";
    const char *backend = c->options.by_name ? PRELOAD_BACKEND_NAME : "127.0.0.1";
    unsigned deadline_ms = CHAOS_DEADLINE_MS;
    if (c->options.all_whole) /* a slow machine is no reason to leave a visitor without a number */
        deadline_ms = chaos_patient_ms(deadline_ms);
    *e++ = xasprintf("VISIT_TIMEOUT_MS=%u", deadline_ms);
    *e++ = xasprintf("FETCH_TIMEOUT_MS=%u", deadline_ms);
    if (!(c->options.parts & STACK_NGINX)) /* which MUST be the first to close */
        *e++ = xasprintf("CONNECTION_TIMEOUT_S=%d", CONNECTION_TIMEOUT_S);
    if (c->redis)
        *e++ = xasprintf("REDIS_URL=redis://%s:%d/0", redis, proxy_port(c->redis));
    if (c->backend)
        *e++ = xasprintf("BACKEND_URL=http://%s:%d/backend", backend, proxy_port(c->backend));
    for (const char *const *more = c->options.more_env; more && *more; more++) {
        ck_assert(e < c->env + sizeof c->env / sizeof *c->env - 1);
        *e++ = xstrdup(*more);
    }
}

static void start_stack(struct chaos *c)
{
    static const char *const backend_env[] = {"CONNECTION_TIMEOUT_S=3", NULL};
    const struct chaos_options *o = &c->options;
    c->stack = stack_start(
        &(struct stack_options){.parts = o->parts, .workers = o->workers, .unprepared = true});
    if (o->through_proxy)
        c->redis = proxy_new(c->stack->redis_port);
    if (o->through_proxy && o->parts & STACK_BACKEND)
        c->backend = proxy_new(c->stack->backend_port);
    make_env(c);
    c->stack->options.frontend_env = (const char *const *)c->env;
    c->stack->options.backend_env = backend_env;
    stack_start_parts(c->stack);
}

static int front_port(const struct chaos *c)
{
    return c->stack->nginx ? c->stack->nginx_port : c->stack->port;
}

static int second_port(const struct chaos *c)
{
    return c->stack->frontend[1] && !c->stack->nginx ? c->stack->frontend_port[1] : 0;
}

struct chaos *chaos_begin(const struct chaos_options *options)
{
    struct chaos *c = xcalloc(1, sizeof *c);
    c->options = *options;
    if (!c->options.connections)
        c->options.connections = CONNECTIONS;
    if (!c->options.pause_ms)
        c->options.pause_ms = PAUSE_MS;
    start_stack(c);
    unsigned few = c->stack->frontend[0] ? process_descriptors(c->stack->frontend[0]) : 0;
    come_and_go(c);
    run_visitors(c, WARM_VISITS);
    if (c->stack->frontend[0])
        wait_few_descriptors(c->stack->frontend[0], few + DESCRIPTORS_MORE);
    remember(c);
    c->lateness = lateness_start();
    c->begun_ms = now_ms();
    c->load = load_start(&(struct load_options){.port = {front_port(c), second_port(c)},
                                                .connections = c->options.connections,
                                                .pause_ms = c->options.pause_ms,
                                                .zero_ms = c->begun_ms});
    load_wait_visits(c->load, 10, PATIENCE_MS);
    c->ends_ms = now_ms() + play_ms();
    return c;
}

void chaos_add_load(struct chaos *c, const struct load_options *options)
{
    struct load_options o = *options;
    size_t i = 0;
    while (c->more_loads[i])
        i++;
    ck_assert_uint_lt(i + 1, sizeof c->more_loads / sizeof *c->more_loads);
    o.zero_ms = c->begun_ms;
    if (!o.port[0])
        o.port[0] = front_port(c);
    c->more_loads[i] = load_start(&o);
}

/* ---- recovery ---- */

static bool is_whole(const struct chaos *c, int port)
{
    const struct answer *a = ask_get(port, "/", "Accept: application/json\r\n");
    if (a->status != 200 || answer_number(a) == 0)
        return false;
    return !(c->options.parts & STACK_BACKEND) || !strstr(a->body, "\"users\":null");
}

static void must_recover_at(struct chaos *c, int port, unsigned within_ms)
{
    unsigned long long start = now_ms();
    while (!is_whole(c, port)) {
        unsigned long long took = now_ms() - start;
        ck_assert_msg(took < limit_ms(c, within_ms), "not whole again after %llu ms (round %u)",
                      took, c->rounds + 1);
        pause_ms(5);
    }
    unsigned long long took = now_ms() - start;
    c->slowest_back = took > c->slowest_back ? took : c->slowest_back;
}

void chaos_must_recover(struct chaos *c)
{
    unsigned front_ms = CHAOS_RECOVERY_MS + (c->stack->nginx ? NGINX_LEAVES_OUT_MS : 0);
    for (int i = 0; i < FRONTENDS; i++)
        if (c->stack->frontend[i])
            must_recover_at(c, c->stack->frontend_port[i], CHAOS_RECOVERY_MS);
    if (c->stack->nginx)
        must_recover_at(c, c->stack->nginx_port, front_ms);
    load_wait_visits(c->load, 1, limit_ms(c, front_ms));
    c->rounds++;
}

/* ---- the verdict ---- */

static void judge_numbers(struct chaos *c, const struct load_result *r)
{
    unsigned long long counter = stack_counter(c->stack);
    load_must_be_unique(r);
    ck_assert_uint_gt(r->visits, 0);
    ck_assert_uint_le(r->highest, counter);
    ck_assert_uint_le(r->visits, counter);
}

static bool is_fit(const struct chaos *c, int status)
{
    for (size_t i = 0; i < sizeof c->options.more_statuses / sizeof(int); i++)
        if (c->options.more_statuses[i] && status == c->options.more_statuses[i])
            return true;
    return status == 200 || status == 503;
}

static void judge_answers(struct chaos *c, const struct load_result *r, unsigned late_ms)
{
    for (size_t i = 0; i < r->count; i++)
        ck_assert_msg(r->records[i].end != LOAD_ANSWERED || is_fit(c, r->records[i].status),
                      "request %zu of %zu was answered with %d", i, r->count, r->records[i].status);
    for (size_t i = 0; c->options.all_whole && i < r->count; i++)
        ck_assert_msg(r->records[i].number != 0 && r->records[i].users,
                      "request %zu of %zu failed: end %d, status %d, users %d", i, r->count,
                      r->records[i].end, r->records[i].status, r->records[i].users);
    if (c->options.front_suffers)
        return;
    load_must_be_answered(r);
    ck_assert_msg(r->slowest_us / 1000 <= chaos_patient_ms(CHAOS_DEADLINE_MS * 11 / 10) + late_ms,
                  "an answer took %u ms, and the machine was at most %u ms late",
                  r->slowest_us / 1000, late_ms);
}

/* Descriptors go as connections are closed: the visitors' last ones in a moment, those of clients
 * that vanished in the middle of a request when their time is up. */
static void judge_leaks(const struct chaos_service *before)
{
    struct process *p = before->process;
    ck_assert_msg(process_is_running(p), "%s has ended", p->name);
    unsigned descriptors = wait_few_descriptors(p, before->descriptors + DESCRIPTORS_MORE);
    unsigned long rss_kib = process_rss_kib(p);
    ck_assert_msg(descriptors <= before->descriptors + DESCRIPTORS_MORE,
                  "%s has %u descriptors, before it had %u", p->name, descriptors,
                  before->descriptors);
    ck_assert_msg(rss_kib <= before->rss_kib + RSS_MORE_KIB, "%s takes %lu KiB, before %lu",
                  p->name, rss_kib, before->rss_kib);
}

static void judge_services(struct chaos *c)
{
    if (c->stack->nginx) { /* it keeps connections to the frontends open for a minute */
        process_terminate(c->stack->nginx);
        ck_assert_int_eq(process_wait(c->stack->nginx, PATIENCE_MS), 0);
    }
    struct process *const now[] = {c->stack->frontend[0], c->stack->frontend[1], c->stack->backend};
    for (size_t i = 0; i < sizeof now / sizeof *now; i++)
        if (now[i] && now[i] == c->before[i].process && now[i]->pid == c->before[i].pid)
            judge_leaks(&c->before[i]);
        else
            ck_assert(!now[i] || process_is_running(now[i]));
}

struct load_result chaos_collect(struct chaos *c)
{
    load_stop(c->load);
    for (struct load **more = c->more_loads; *more; more++)
        load_stop(*more);
    struct load_result all = load_finish(c->load, PATIENCE_MS);
    for (struct load **more = c->more_loads; *more; more++) {
        struct load_result r = load_finish(*more, PATIENCE_MS);
        load_merge(&all, &r);
    }
    return all;
}

void chaos_judge(struct chaos *c, struct load_result *r)
{
    unsigned late_ms = lateness_stop(c->lateness);
    printf("# %u rounds, %zu requests, %zu visits, slowest answer %u ms, slowest return %llu ms, "
           "machine at most %u ms late\n",
           c->rounds, r->count, r->visits, r->slowest_us / 1000, c->slowest_back, late_ms);
    fflush(stdout);
    judge_numbers(c, r);
    judge_answers(c, r, late_ms);
    judge_services(c);
    load_done(r);
    stack_stop(c->stack);
    proxy_free(c->redis);
    proxy_free(c->backend);
    for (char **e = c->env; *e; e++)
        free(*e);
    free(c);
}

void chaos_end(struct chaos *c)
{
    struct load_result r = chaos_collect(c);
    chaos_judge(c, &r);
}
