/* What a load must have brought: the judgements of tests on its records. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "lib/mem.h"
#include "tests/support/load.h"

void load_done(struct load_result *r)
{
    free(r->records);
    *r = (struct load_result){0};
}

void load_sum_up(struct load_result *r)
{
    struct load_result sum = {.records = r->records, .count = r->count};
    for (size_t i = 0; i < r->count; i++) {
        const struct load_record *one = &r->records[i];
        sum.ended[one->end]++;
        if (one->end == LOAD_ANSWERED && one->took_us > sum.slowest_us)
            sum.slowest_us = one->took_us;
        if (one->is_total)
            continue;
        sum.visits += one->number != 0;
        sum.highest = one->number > sum.highest ? one->number : sum.highest;
    }
    *r = sum;
}

void load_merge(struct load_result *into, struct load_result *more)
{
    size_t count = into->count + more->count;
    into->records = xrealloc(into->records, (count + 1) * sizeof *into->records);
    if (more->count)
        memcpy(into->records + into->count, more->records, more->count * sizeof *more->records);
    into->count = count;
    load_sum_up(into);
    load_done(more);
}

size_t load_count_status(const struct load_result *r, int status)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        count += r->records[i].status == status;
    return count;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The numbers in order; the caller frees them. */
static uint64_t *sorted(const struct load_result *r)
{
    size_t n = 0;
    uint64_t *numbers = xcalloc(r->visits + 1, sizeof *numbers);
    for (size_t i = 0; i < r->count; i++)
        if (r->records[i].number && !r->records[i].is_total)
            numbers[n++] = r->records[i].number;
    qsort(numbers, n, sizeof *numbers, compare);
    return numbers;
}

void load_must_be_unique(const struct load_result *r)
{
    uint64_t *numbers = sorted(r);
    for (size_t i = 1; i < r->visits; i++)
        ck_assert_msg(numbers[i] != numbers[i - 1], "number %lu was given twice",
                      (unsigned long)numbers[i]);
    free(numbers);
}

void load_must_be_exactly(const struct load_result *r, uint64_t first)
{
    uint64_t *numbers = sorted(r);
    for (size_t i = 0; i < r->visits; i++)
        ck_assert_msg(numbers[i] == first + i, "number %lu stands where %lu should",
                      (unsigned long)numbers[i], (unsigned long)(first + i));
    free(numbers);
}

void load_must_be_answered(const struct load_result *r)
{
    ck_assert_msg(r->ended[LOAD_ANSWERED] == r->count,
                  "of %zu: %zu refused, %zu/%zu/%zu reset (fresh, kept alive, in the middle), %zu "
                  "timed out",
                  r->count, r->ended[LOAD_REFUSED], r->ended[LOAD_RESET_FRESH],
                  r->ended[LOAD_RESET_BEFORE], r->ended[LOAD_RESET_MIDDLE],
                  r->ended[LOAD_TIMED_OUT]);
}

size_t load_scale(size_t full)
{
    const char *text = getenv("TALLY_LOAD_SCALE");
    double scale = text ? strtod(text, NULL) : 1;
    size_t scaled = (size_t)((double)full * (scale > 0 && scale < 1 ? scale : 1));
    return scaled < 200 ? 200 : scaled;
}
