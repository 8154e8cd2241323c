/* One connection to the database, and the queries. Hides libmysqlclient. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/must.h"

struct buf;
struct database;
struct store;

/* DESIGN. Everything here blocks: it runs on the thread pool, or in --migrate. A connection is used
 * by one thread at a time, not always the same. Failures are told as
 *     UV_ECONNREFUSED  it could not be reached: there is no connection
 *     UV_ECONNRESET    the connection is lost, or did not answer in time: only store_close is left
 *     UV_EPROTO        the server refused the statement, or the two do not understand each other
 *     UV_EACCES        the user may not do that
 * with a reason in words. No reason holds a password. */
enum { STORE_REASON = 256 };

struct store_options {
    const struct database *database; /* borrowed for the call */
    unsigned timeout_s;              /* of connecting, and of each read and write */
    bool migrating; /* several statements in one text; no database yet: it may not exist */
};

/* In main, before any thread and after the last. */
void store_library_init(void);
void store_library_done(void);
/* Around each work item on a thread that ends without notice. */
void store_thread_init(void);
void store_thread_done(void);

/* `reason` has room for STORE_REASON bytes, here and below. */
MUST_USE int store_open(const struct store_options *options, struct store **ret_store,
                        char *reason);
void store_close(struct store *s);

/* [{"userName":"Bob"},…]\n in the order of insertion. */
struct store_users {
    char *json; /* the caller frees it */
    size_t length;
    size_t count;
    bool left_out; /* there are more than were asked for */
};

/* The frontend takes no more. */
enum { STORE_USERS_BYTES = 1 << 20 };

/* At most `limit` users, and at most STORE_USERS_BYTES of JSON. */
MUST_USE int store_read_users(struct store *s, unsigned limit, struct store_users *ret_users,
                              char *reason);

/* For migrations. One or more statements; results are thrown away. */
MUST_USE int store_execute(struct store *s, const char *sql, char *reason);
/* The same for statements that hold a password: the reason quotes nothing of them. */
MUST_USE int store_execute_secret(struct store *s, const char *sql, char *reason);
/* The number in the first column of the only row; NULL counts as 0. */
MUST_USE int store_ask_number(struct store *s, const char *sql, int64_t *ret_number, char *reason);
/* Makes `name` the connection's database; UV_EACCES also where it does not exist. */
MUST_USE int store_use_database(struct store *s, const char *name, char *reason);
/* 'text' as a literal, and `name` as an identifier. */
void store_put_text(struct store *s, struct buf *sql, const char *text);
void store_put_name(struct buf *sql, const char *name);
