/* A service that nobody asks costs next to nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/support/load.h"
#include "tests/support/net.h"
#include "tests/support/stack.h"
#include "tests/support/suite.h"

enum { WATCHED_MS = 2000, RSS_LIMIT_KIB = 30 * 1024, SANITIZED_RSS_KIB = 400 * 1024 };

static const double cpu_limit = 0.005;

/* The thread sanitizer's shadow memory and background thread are not the service's. */
static bool is_sanitized(void)
{
    const char *bin = getenv("TALLY_BIN");
    return bin && (strstr(bin, "tsan") || strstr(bin, "asan"));
}

START_TEST(an_idle_service_uses_little)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL});
    struct load_result r = load_finish(
        load_start(&(struct load_options){.port = {s->port}, .requests = load_scale(2000)}), 30000);
    struct process *both[] = {s->frontend[0], s->backend};
    unsigned long long start = now_ns(), cpu[2];
    for (int i = 0; i < 2; i++)
        cpu[i] = process_cpu_ns(both[i]);
    pause_ms(WATCHED_MS); /* not a wait for something: this is what is measured */
    double passed = (double)(now_ns() - start);
    for (int i = 0; i < 2; i++) {
        double share = (double)(process_cpu_ns(both[i]) - cpu[i]) / passed;
        unsigned long rss = process_rss_kib(both[i]);
        ck_assert_msg(is_sanitized() || share < cpu_limit, "%s idles at %.2f %% CPU", both[i]->name,
                      share * 100);
        ck_assert_msg(rss < (is_sanitized() ? SANITIZED_RSS_KIB : RSS_LIMIT_KIB),
                      "%s holds %lu KiB", both[i]->name, rss);
        printf("%s: %.3f %% CPU, %lu KiB\n", both[i]->name, share * 100, rss);
    }
    load_done(&r);
    stack_stop(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("idle");
    TCase *c = tcase_create("idle");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, an_idle_service_uses_little);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
