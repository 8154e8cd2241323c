/* A raw HTTP client that turns the loop of the server under test while it waits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* DESIGN. Client and server share one thread: every wait turns the loop, and fails the test when
 * nothing came within its deadline. Bytes go out as they are, so that a test may be as rude as it
 * likes. */
struct client {
    uv_loop_t *loop; /* borrowed */
    int fd;
    char *bytes; /* received and not yet taken by an answer; NUL-terminated */
    size_t length;
    bool ended; /* the server closed */
    char *head; /* of the last answer: status line and fields */
    char *body;
    size_t body_length;
};

void client_open(struct client *c, uv_loop_t *loop, int port);
/* Frees and closes; with `reset` the server sees an error instead of an end. */
void client_close(struct client *c);
void client_reset(struct client *c);

void client_send(struct client *c, const char *text);
/* "GET <path> HTTP/1.1" with Host and these further lines, each with CRLF. */
void client_ask(struct client *c, const char *path, const char *fields);
/* The next answer's status; its head and body stay until the next. A body reaches as far as
 * Content-Length says, else to the end. */
int client_read(struct client *c);
/* The same for the answer to HEAD, which has no body. */
int client_read_head(struct client *c);
/* ask and read. */
int client_get(struct client *c, const char *path, const char *fields);
/* A field of the last answer, or NULL; valid until the next call. */
const char *client_field(const struct client *c, const char *name);

/* Fails the test unless the last answer has (has not) the field. */
void client_assert_field(const struct client *c, const char *name, const char *value);
void client_assert_no_field(const struct client *c, const char *name);

/* Waits until the server closes; true when no further byte came. */
bool client_sees_end(struct client *c);
/* True when the server neither answers nor closes within some turns. */
bool client_hears_nothing(struct client *c);
