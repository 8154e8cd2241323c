/* Counters, gauges and histograms: one set a worker, added up by a scrape, in Prometheus text. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;

/* DESIGN. A table row is one time series; rows of one family stand together, and their labels tell
 * them apart. Only its worker writes a set, with relaxed atomics and no locked instruction; any
 * thread reads. */
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_SECONDS, METRIC_SIZES };

struct metric {
    enum metric_kind kind;
    const char *name;   /* the family */
    const char *labels; /* "dependency=\"redis\"" or "" */
    const char *help;   /* what it counts, and what the operator does about it */
};

struct metrics;

struct metrics *metrics_new(const struct metric *table, size_t count);
void metrics_free(struct metrics *m);

void metrics_add(struct metrics *m, size_t id, uint64_t n);
void metrics_set(struct metrics *m, size_t id, int64_t value);
/* METRIC_SECONDS takes nanoseconds (buckets 0.1 ms … 10 s), METRIC_SIZES plain numbers (1, 2, 4 …
 * 4096). */
void metrics_observe(struct metrics *m, size_t id, uint64_t value);
uint64_t metrics_value(const struct metrics *m, size_t id); /* a histogram's is its count */

/* Appends all families, each worker's values added up; gauges are added up too, except those of
 * dependency_up, where the smallest counts. */
void metrics_write(struct buf *out, struct metrics *const *sets, size_t set_count);
/* Appends process CPU, memory, descriptors and start time, and
 * tally_build_info{service,version,revision}. */
void metrics_write_process(struct buf *out, const char *service, const char *version,
                           const char *revision);

/* One histogram outside a table, for callers with labels of their own (lib/http). */
struct histogram;
struct histogram *histogram_new(enum metric_kind kind);
void histogram_free(struct histogram *h);
void histogram_observe(struct histogram *h, uint64_t value);
/* Appends the lines of one series, `count` histograms added up; nothing when none has a value. */
void histogram_write(struct buf *out, const char *name, const char *labels,
                     struct histogram *const *hs, size_t count);
