/* Metrics: what one set counts, what a scrape makes of several, and promtool's opinion of it. */
#include "lib/metrics.h"
#include "lib/buf.h"
#include "tests/support/suite.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum {
    VISITS,
    REDIS_CALLS,
    MYSQL_CALLS,
    WAITING,
    REDIS_UP,
    MYSQL_UP,
    SIZES,
    REDIS_TIME,
    MYSQL_TIME
};

static const struct metric table[] = {
    [VISITS] = {METRIC_COUNTER, "tally_visits_total", "", "Visits counted."},
    [REDIS_CALLS] = {METRIC_COUNTER, "tally_calls_total", "dependency=\"redis\"", "Calls."},
    [MYSQL_CALLS] = {METRIC_COUNTER, "tally_calls_total", "dependency=\"mysql\"", "Calls."},
    [WAITING] = {METRIC_GAUGE, "tally_waiting", "", "Requests that wait."},
    [REDIS_UP] = {METRIC_GAUGE, "tally_dependency_up", "dependency=\"redis\"", "1: reached."},
    [MYSQL_UP] = {METRIC_GAUGE, "tally_dependency_up", "dependency=\"mysql\"", "1: reached."},
    [SIZES] = {METRIC_SIZES, "tally_batch_visits", "", "Visits a batch."},
    [REDIS_TIME] = {METRIC_SECONDS, "tally_call_duration_seconds", "dependency=\"redis\"", "Time."},
    [MYSQL_TIME] = {METRIC_SECONDS, "tally_call_duration_seconds", "dependency=\"mysql\"", "Time."},
};

static struct metrics *sets[3];
static struct buf out;

static void begin(void)
{
    for (size_t i = 0; i < COUNT(sets); i++)
        sets[i] = metrics_new(table, COUNT(table));
}

static void end(void)
{
    for (size_t i = 0; i < COUNT(sets); i++)
        metrics_free(sets[i]);
    metrics_free(NULL);
    buf_done(&out);
}

static void scrape(void)
{
    buf_clear(&out);
    metrics_write(&out, sets, COUNT(sets));
}

static size_t times(const char *text)
{
    size_t count = 0;
    for (const char *at = out.data; (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* The line stands in the text, once, as a whole. */
static void assert_line(const char *line)
{
    char whole[256];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    ck_assert_msg(times(whole) == 1, "%zu times: %s\n%s", times(whole), line, out.data);
}

START_TEST(counters_of_all_workers_are_added_up)
{
    metrics_add(sets[0], VISITS, 3);
    metrics_add(sets[0], VISITS, 4);
    metrics_add(sets[2], VISITS, 1ull << 40);
    metrics_add(sets[1], REDIS_CALLS, 5);
    scrape();

    ck_assert_uint_eq(metrics_value(sets[0], VISITS), 7);
    assert_line("tally_visits_total 1099511627783");
    assert_line("tally_calls_total{dependency=\"redis\"} 5");
    assert_line("tally_calls_total{dependency=\"mysql\"} 0");
}
END_TEST

START_TEST(gauges_are_added_up_too)
{
    metrics_set(sets[0], WAITING, 9);
    metrics_set(sets[0], WAITING, 4);
    metrics_set(sets[1], WAITING, -1);
    scrape();
    assert_line("tally_waiting 3");
}
END_TEST

START_TEST(a_dependency_is_up_when_every_worker_reaches_it)
{
    for (size_t i = 0; i < COUNT(sets); i++) {
        metrics_set(sets[i], REDIS_UP, 1);
        metrics_set(sets[i], MYSQL_UP, i != 1);
    }
    scrape();
    assert_line("tally_dependency_up{dependency=\"redis\"} 1");
    assert_line("tally_dependency_up{dependency=\"mysql\"} 0");
}
END_TEST

START_TEST(a_family_is_introduced_once)
{
    scrape();
    ck_assert_uint_eq(times("# HELP tally_calls_total Calls.\n"), 1);
    ck_assert_uint_eq(times("# TYPE tally_calls_total counter\n"), 1);
    ck_assert_uint_eq(times("# TYPE tally_waiting gauge\n"), 1);
    ck_assert_uint_eq(times("# TYPE tally_batch_visits histogram\n"), 1);
    ck_assert_uint_eq(times("# TYPE tally_call_duration_seconds histogram\n"), 1);
    ck_assert_uint_eq(times("# HELP"), 6);
}
END_TEST

static const struct size {
    uint64_t value;
    const char *first; /* the first bucket that counts it */
    const char *below; /* the last that does not */
} sizes[] = {
    {0, "1", NULL},         {1, "1", NULL},         {2, "2", "1"},
    {3, "4", "2"},          {4, "4", "2"},          {5, "8", "4"},
    {4096, "4096", "2048"}, {4097, "+Inf", "4096"}, {1ull << 60, "+Inf", "4096"},
};

START_TEST(a_size_falls_into_its_bucket_and_all_above)
{
    char line[96];
    metrics_observe(sets[1], SIZES, sizes[_i].value);
    scrape();

    snprintf(line, sizeof(line), "tally_batch_visits_bucket{le=\"%s\"} 1", sizes[_i].first);
    assert_line(line);
    assert_line("tally_batch_visits_bucket{le=\"+Inf\"} 1");
    if (sizes[_i].below) {
        snprintf(line, sizeof(line), "tally_batch_visits_bucket{le=\"%s\"} 0", sizes[_i].below);
        assert_line(line);
    }
    snprintf(line, sizeof(line), "tally_batch_visits_sum %llu",
             (unsigned long long)sizes[_i].value);
    assert_line(line);
    assert_line("tally_batch_visits_count 1");
}
END_TEST

#define REDIS_BUCKET "tally_call_duration_seconds_bucket{dependency=\"redis\",le="

START_TEST(durations_are_written_in_seconds)
{
    metrics_observe(sets[0], REDIS_TIME, 100000);      /* 0.1 ms */
    metrics_observe(sets[1], REDIS_TIME, 100001);      /* just more */
    metrics_observe(sets[2], REDIS_TIME, 1500000000);  /* 1.5 s */
    metrics_observe(sets[2], REDIS_TIME, 20000000000); /* 20 s */
    scrape();

    ck_assert_uint_eq(metrics_value(sets[2], REDIS_TIME), 2);
    assert_line(REDIS_BUCKET "\"0.0001\"} 1");
    assert_line(REDIS_BUCKET "\"0.00025\"} 2");
    assert_line(REDIS_BUCKET "\"1\"} 2");
    assert_line(REDIS_BUCKET "\"2.5\"} 3");
    assert_line(REDIS_BUCKET "\"10\"} 3");
    assert_line(REDIS_BUCKET "\"+Inf\"} 4");
    assert_line("tally_call_duration_seconds_sum{dependency=\"redis\"} 21.500200001");
    assert_line("tally_call_duration_seconds_count{dependency=\"redis\"} 4");
    assert_line("tally_call_duration_seconds_count{dependency=\"mysql\"} 0");
}
END_TEST

START_TEST(no_sets_no_text)
{
    metrics_write(&out, sets, 0);
    ck_assert_uint_eq(out.length, 0);
}
END_TEST

START_TEST(histograms_outside_a_table_are_added_up)
{
    struct histogram *hs[] = {histogram_new(METRIC_SECONDS), NULL, histogram_new(METRIC_SECONDS)};
    histogram_write(&out, "x_seconds", "a=\"b\"", hs, COUNT(hs));
    ck_assert_uint_eq(out.length, 0);
    histogram_observe(hs[0], 1000000);
    histogram_observe(hs[2], 2000000000);

    buf_puts(&out, "\n");
    histogram_write(&out, "x_seconds", "a=\"b\"", hs, COUNT(hs));

    assert_line("x_seconds_bucket{a=\"b\",le=\"0.001\"} 1");
    assert_line("x_seconds_sum{a=\"b\"} 2.001000000");
    assert_line("x_seconds_count{a=\"b\"} 2");
    histogram_free(hs[0]);
    histogram_free(hs[2]);
}
END_TEST

static void *count_to_a_million(void *arg)
{
    for (int i = 0; i < 1000000; i++)
        metrics_add(arg, VISITS, 1);
    return NULL;
}

START_TEST(a_scrape_reads_while_a_worker_counts)
{
    pthread_t worker;
    uint64_t last = 0;
    ck_assert_int_eq(pthread_create(&worker, NULL, count_to_a_million, sets[0]), 0);
    for (int i = 0; i < 200; i++) {
        uint64_t value = metrics_value(sets[0], VISITS);
        ck_assert_uint_ge(value, last);
        last = value;
    }
    pthread_join(worker, NULL);
    ck_assert_uint_eq(metrics_value(sets[0], VISITS), 1000000);
}
END_TEST

/* The value of a series without labels. */
static double number_of(const char *name)
{
    char start[64];
    snprintf(start, sizeof(start), "\n%s ", name);
    const char *at = strstr(out.data, start);
    ck_assert_msg(at != NULL, "no %s", name);
    return strtod(at + strlen(start), NULL);
}

START_TEST(the_process_tells_of_itself)
{
    metrics_write_process(&out, "tally-test", "1.2.3", "0123456789ab");

    ck_assert_double_ge(number_of("process_cpu_seconds_total"), 0);
    ck_assert_double_gt(number_of("process_resident_memory_bytes"), 100000);
    ck_assert_double_gt(number_of("process_virtual_memory_bytes"),
                        number_of("process_resident_memory_bytes"));
    ck_assert_double_ge(number_of("process_open_fds"), 3);
    ck_assert_double_le(number_of("process_open_fds"), number_of("process_max_fds"));
    ck_assert_double_le(number_of("process_start_time_seconds"), (double)time(NULL) + 1);
    ck_assert_double_gt(number_of("process_start_time_seconds"), (double)time(NULL) - 3600);
    assert_line("tally_build_info{service=\"tally-test\",version=\"1.2.3\","
                "revision=\"0123456789ab\"} 1");
}
END_TEST

START_TEST(an_open_descriptor_is_counted)
{
    metrics_write_process(&out, "s", "v", "r");
    double before = number_of("process_open_fds");
    FILE *file = tmpfile();
    buf_clear(&out);
    metrics_write_process(&out, "s", "v", "r");
    ck_assert_double_eq(number_of("process_open_fds"), before + 1);
    fclose(file);
}
END_TEST

START_TEST(no_version_breaks_the_scrape)
{
    metrics_write_process(&out, "s", "1\"}\n\\\xFF x", "r");
    assert_line("tally_build_info{service=\"s\",version=\"1_}____x\",revision=\"r\"} 1");
}
END_TEST

START_TEST(promtool_finds_nothing)
{
    metrics_observe(sets[0], REDIS_TIME, 5);
    scrape();
    metrics_write_process(&out, "tally-test", "1.2.3", "0123456789ab");
    FILE *promtool = popen("promtool check metrics 2>&1", "w");
    ck_assert_ptr_nonnull(promtool);
    ck_assert_uint_eq(fwrite(out.data, 1, out.length, promtool), out.length);
    ck_assert_int_eq(pclose(promtool), 0);
}
END_TEST

static const struct metric bad_rows[] = {
    {METRIC_COUNTER, "tally_visits", "", "No _total."},
    {METRIC_SECONDS, "tally_duration", "", "No unit."},
};

START_TEST(a_name_against_the_conventions_is_a_bug)
{
    metrics_free(metrics_new(&bad_rows[_i], 1));
}
END_TEST

static void add_to_gauge(void)
{
    metrics_add(sets[0], WAITING, 1);
}

static void set_counter(void)
{
    metrics_set(sets[0], VISITS, 1);
}

static void observe_counter(void)
{
    metrics_observe(sets[0], VISITS, 1);
}

static void add_outside(void)
{
    metrics_add(sets[0], COUNT(table), 1);
}

static void (*const misuses[])(void) = {add_to_gauge, set_counter, observe_counter, add_outside};

START_TEST(misuse_is_a_bug)
{
    misuses[_i]();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tcase = tcase_create("metrics");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, counters_of_all_workers_are_added_up);
    tcase_add_test(tcase, gauges_are_added_up_too);
    tcase_add_test(tcase, a_dependency_is_up_when_every_worker_reaches_it);
    tcase_add_test(tcase, a_family_is_introduced_once);
    tcase_add_loop_test(tcase, a_size_falls_into_its_bucket_and_all_above, 0, COUNT(sizes));
    tcase_add_test(tcase, durations_are_written_in_seconds);
    tcase_add_test(tcase, no_sets_no_text);
    tcase_add_test(tcase, histograms_outside_a_table_are_added_up);
    tcase_add_test(tcase, a_scrape_reads_while_a_worker_counts);
    tcase_add_test(tcase, the_process_tells_of_itself);
    tcase_add_test(tcase, an_open_descriptor_is_counted);
    tcase_add_test(tcase, no_version_breaks_the_scrape);
    tcase_add_test(tcase, promtool_finds_nothing);
    tcase_add_loop_test_raise_signal(tcase, a_name_against_the_conventions_is_a_bug, SIGABRT, 0,
                                     COUNT(bad_rows));
    tcase_add_loop_test_raise_signal(tcase, misuse_is_a_bug, SIGABRT, 0, COUNT(misuses));
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
