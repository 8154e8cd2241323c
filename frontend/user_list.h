/* The users of one answer of the backend, written out once for every page that shows them. */
#pragma once

#include <stddef.h>
#include "lib/buf.h"
#include "lib/must.h"

/* DESIGN. Many pages show the same list: each holds a reference and copies the bytes. One thread
 * only: references are plain numbers. */
struct user_list {
    unsigned references;
    size_t count;
    struct buf html; /* one <p> a user, or a note that there is none */
    struct buf json; /* [{"userName":"Bob"},…] */
};

/* What is believed of a backend, at most. */
enum {
    USER_LIST_MAX_BYTES = 1024 * 1024,
    USER_LIST_MAX_USERS = 10000,
    USER_LIST_MAX_NAME = 1024 /* bytes of UTF-8 */
};

/* The backend's answer: a JSON array of objects with a userName. Returns NULL and *ret_list, which
 * holds one reference, the caller's; or a sentence that says what is wrong, and *ret_list stays
 * untouched. */
MUST_USE const char *user_list_parse(const char *body, size_t length, struct user_list **ret_list);
struct user_list *user_list_ref(struct user_list *list);
/* The last reference takes the list with it; NULL is fine. */
void user_list_unref(struct user_list *list);
