/* Counters, gauges and histograms, added up over the workers, in Prometheus text. */
#include "lib/metrics.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/must.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BOUNDS_MAX = 16 };

/* Written by one thread, read by any. */
typedef _Atomic uint64_t cell;

struct bound {
    uint64_t value; /* nanoseconds, or plain */
    const char *text;
};

static const struct bound bounds_seconds[] = {
    {100000, "0.0001"},  {250000, "0.00025"}, {500000, "0.0005"},  {1000000, "0.001"},
    {2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"},  {25000000, "0.025"},
    {50000000, "0.05"},  {100000000, "0.1"},  {250000000, "0.25"}, {500000000, "0.5"},
    {1000000000, "1"},   {2500000000, "2.5"}, {5000000000, "5"},   {10000000000, "10"},
};
static const struct bound bounds_sizes[] = {
    {1, "1"},       {2, "2"},       {4, "4"},       {8, "8"},     {16, "16"},
    {32, "32"},     {64, "64"},     {128, "128"},   {256, "256"}, {512, "512"},
    {1024, "1024"}, {2048, "2048"}, {4096, "4096"},
};
_Static_assert(sizeof(bounds_seconds) / sizeof(bounds_seconds[0]) <= BOUNDS_MAX, "bounds fit");
_Static_assert(sizeof(bounds_sizes) / sizeof(bounds_sizes[0]) <= BOUNDS_MAX, "bounds fit");

struct histogram {
    const struct bound *bounds; /* static */
    size_t bound_count;
    bool is_seconds;
    cell sum;
    cell buckets[BOUNDS_MAX + 1]; /* the last: above all bounds */
};

/* One series of a set. */
struct series {
    cell value;
    struct histogram *histogram; /* owned; NULL unless the row is a histogram */
};

struct metrics {
    const struct metric *table; /* borrowed: static */
    size_t count;
    struct series series[];
};

/* One writer: no locked instruction is needed, only that a reader never sees half a number. */
static void cell_add(cell *c, uint64_t n)
{
    uint64_t old = atomic_load_explicit(c, memory_order_relaxed);
    atomic_store_explicit(c, old + n, memory_order_relaxed);
}

static uint64_t cell_get(const cell *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

struct histogram *histogram_new(enum metric_kind kind)
{
    MUST(kind == METRIC_SECONDS || kind == METRIC_SIZES);
    struct histogram *h = xcalloc(1, sizeof(*h));
    h->is_seconds = kind == METRIC_SECONDS;
    h->bounds = h->is_seconds ? bounds_seconds : bounds_sizes;
    h->bound_count = h->is_seconds ? sizeof(bounds_seconds) / sizeof(bounds_seconds[0])
                                   : sizeof(bounds_sizes) / sizeof(bounds_sizes[0]);
    return h;
}

void histogram_free(struct histogram *h)
{
    free(h);
}

void histogram_observe(struct histogram *h, uint64_t value)
{
    size_t i = 0;
    while (i < h->bound_count && value > h->bounds[i].value)
        i++;
    cell_add(&h->buckets[i], 1);
    cell_add(&h->sum, value);
}

static uint64_t histogram_count(const struct histogram *h)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= h->bound_count; i++)
        count += cell_get(&h->buckets[i]);
    return count;
}

/* The reader's own copy. */
static void histogram_merge(struct histogram *sum, const struct histogram *h)
{
    MUST(sum->bounds == h->bounds);
    for (size_t i = 0; i <= h->bound_count; i++)
        cell_add(&sum->buckets[i], cell_get(&h->buckets[i]));
    cell_add(&sum->sum, cell_get(&h->sum));
}

/* name_suffix{labels} without the value. */
static void put_series(struct buf *out, const char *name, const char *suffix, const char *labels)
{
    buf_puts(out, name);
    buf_puts(out, suffix);
    if (*labels) {
        buf_puts(out, "{");
        buf_puts(out, labels);
        buf_puts(out, "}");
    }
    buf_puts(out, " ");
}

static void put_bucket(struct buf *out, const char *name, const char *labels, const char *le)
{
    buf_printf(out, "%s_bucket{%s%sle=\"%s\"} ", name, labels, *labels ? "," : "", le);
}

static void put_line_u64(struct buf *out, uint64_t number)
{
    buf_put_u64(out, number);
    buf_puts(out, "\n");
}

static void put_histogram(struct buf *out, const char *name, const char *labels,
                          const struct histogram *h)
{
    uint64_t below = 0; /* buckets are cumulative */
    for (size_t i = 0; i < h->bound_count; i++) {
        below += cell_get(&h->buckets[i]);
        put_bucket(out, name, labels, h->bounds[i].text);
        put_line_u64(out, below);
    }
    below += cell_get(&h->buckets[h->bound_count]);
    put_bucket(out, name, labels, "+Inf");
    put_line_u64(out, below);
    uint64_t sum = cell_get(&h->sum);
    put_series(out, name, "_sum", labels);
    if (h->is_seconds)
        buf_printf(out, "%llu.%09llu\n", (unsigned long long)(sum / 1000000000),
                   (unsigned long long)(sum % 1000000000));
    else
        put_line_u64(out, sum);
    put_series(out, name, "_count", labels);
    put_line_u64(out, below);
}

void histogram_write(struct buf *out, const char *name, const char *labels,
                     struct histogram *const *hs, size_t count)
{
    struct histogram *sum = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!hs[i])
            continue;
        if (!sum)
            sum = histogram_new(hs[i]->is_seconds ? METRIC_SECONDS : METRIC_SIZES);
        histogram_merge(sum, hs[i]);
    }
    if (sum && histogram_count(sum))
        put_histogram(out, name, labels, sum);
    histogram_free(sum);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static bool is_histogram(const struct metric *row)
{
    return row->kind == METRIC_SECONDS || row->kind == METRIC_SIZES;
}

struct metrics *metrics_new(const struct metric *table, size_t count)
{
    struct metrics *m = xcalloc(1, sizeof(*m) + count * sizeof(m->series[0]));
    m->table = table;
    m->count = count;
    for (size_t i = 0; i < count; i++) {
        MUST(table[i].kind != METRIC_COUNTER || ends_with(table[i].name, "_total"));
        MUST(table[i].kind != METRIC_SECONDS || ends_with(table[i].name, "_seconds"));
        if (is_histogram(&table[i]))
            m->series[i].histogram = histogram_new(table[i].kind);
    }
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++)
        histogram_free(m->series[i].histogram);
    free(m);
}

void metrics_add(struct metrics *m, size_t id, uint64_t n)
{
    MUST(id < m->count && m->table[id].kind == METRIC_COUNTER);
    cell_add(&m->series[id].value, n);
}

void metrics_set(struct metrics *m, size_t id, int64_t value)
{
    MUST(id < m->count && m->table[id].kind == METRIC_GAUGE);
    atomic_store_explicit(&m->series[id].value, (uint64_t)value, memory_order_relaxed);
}

void metrics_observe(struct metrics *m, size_t id, uint64_t value)
{
    MUST(id < m->count && is_histogram(&m->table[id]));
    histogram_observe(m->series[id].histogram, value);
}

uint64_t metrics_value(const struct metrics *m, size_t id)
{
    MUST(id < m->count);
    const struct series *s = &m->series[id];
    return s->histogram ? histogram_count(s->histogram) : cell_get(&s->value);
}

/* HELP and TYPE of the row's family. */
static void put_head(struct buf *out, const struct metric *row)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "histogram"};
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
               types[row->kind]);
}

/* A dependency is up when every worker reaches it; other gauges are parts of a whole. */
static int64_t gauge_of_all(struct metrics *const *sets, size_t set_count, size_t id)
{
    bool smallest = ends_with(sets[0]->table[id].name, "dependency_up");
    int64_t all = 0;
    for (size_t i = 0; i < set_count; i++) {
        int64_t value = (int64_t)cell_get(&sets[i]->series[id].value);
        if (!smallest)
            all += value;
        else if (i == 0 || value < all)
            all = value;
    }
    return all;
}

static uint64_t counter_of_all(struct metrics *const *sets, size_t set_count, size_t id)
{
    uint64_t all = 0;
    for (size_t i = 0; i < set_count; i++)
        all += cell_get(&sets[i]->series[id].value);
    return all;
}

static void put_histogram_of_all(struct buf *out, struct metrics *const *sets, size_t set_count,
                                 size_t id)
{
    const struct metric *row = &sets[0]->table[id];
    struct histogram *sum = histogram_new(row->kind);
    for (size_t i = 0; i < set_count; i++)
        histogram_merge(sum, sets[i]->series[id].histogram);
    put_histogram(out, row->name, row->labels, sum);
    histogram_free(sum);
}

static void put_row(struct buf *out, struct metrics *const *sets, size_t set_count, size_t id)
{
    const struct metric *row = &sets[0]->table[id];
    if (is_histogram(row)) {
        put_histogram_of_all(out, sets, set_count, id);
        return;
    }
    put_series(out, row->name, "", row->labels);
    if (row->kind == METRIC_COUNTER)
        put_line_u64(out, counter_of_all(sets, set_count, id));
    else
        buf_printf(out, "%lld\n", (long long)gauge_of_all(sets, set_count, id));
}

void metrics_write(struct buf *out, struct metrics *const *sets, size_t set_count)
{
    if (!set_count)
        return;
    const struct metric *table = sets[0]->table;
    for (size_t i = 0; i < sets[0]->count; i++) {
        if (i == 0 || strcmp(table[i].name, table[i - 1].name) != 0)
            put_head(out, &table[i]);
        put_row(out, sets, set_count, i);
    }
}
