/* The answer to a visit, as a page and as JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct page;
struct user_list;

struct page_options {
    const char *environment, *served_by, *version; /* borrowed for the call */
    bool with_users;                               /* false: there is no backend to ask */
};

/* What one visitor is shown. */
struct page_visit {
    int64_t number;                /* 0: it could not be had */
    const struct user_list *users; /* borrowed; NULL: they could not be had, or are not asked for */
};

/* Never changes: threads may share it. */
struct page *page_new(const struct page_options *options);
void page_free(struct page *p);
/* The Content-Security-Policy that allows the page's own style and nothing else. */
const char *page_csp(void);
/* The part of the <head> that gives error pages the page's style. The caller frees it. */
char *page_error_head(void);
/* Both append to `out`. */
void page_html(const struct page *p, const struct page_visit *visit, struct buf *out);
/* The number must be there: who was not counted gets an error instead. */
void page_json(const struct page *p, const struct page_visit *visit, struct buf *out);
