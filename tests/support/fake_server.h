/* A scripted TCP server on the test's own loop; fake_redis and fake_http give it a language. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct buf;
struct fake_server;

/* DESIGN. The script is a list of steps. A request takes the first step when the step's pattern
 * (as of the shell, over the request as one line) matches it; else the language's own answer, when
 * it has one for this request; else the test fails. A request beyond the script, likewise. */

/* Reads one request off `data`: appends it to `line` as one line and returns its length; 0 when it
 * is not whole yet. */
typedef size_t fake_parse(const char *data, size_t length, struct buf *line);
/* What is answered where the script says nothing, or NULL. */
typedef const char *fake_default(const char *line);

struct fake_language {
    fake_parse *parse;
    fake_default *answer;
};

enum fake_then { FAKE_STAY, FAKE_HANG_UP, FAKE_RESET };

struct fake_step {
    const char *expect; /* pattern; copied */
    const char *reply;  /* copied; "": says nothing */
    size_t length;      /* of reply; 0: up to its NUL */
    unsigned delay_ms;
    enum fake_then then;
};

/* Listens on `address` ("127.0.0.1", "::1"), on a port that nobody else gets. */
struct fake_server *fake_server_new(uv_loop_t *loop, const char *address,
                                    const struct fake_language *language);
/* Hangs up and closes its handles; memory goes when the loop has closed them. Steps that were
 * never taken fail the test. */
void fake_server_free(struct fake_server *s);
int fake_server_port(const struct fake_server *s);

void fake_server_expect(struct fake_server *s, const struct fake_step *step);
/* Forgets the steps not yet taken. */
void fake_server_forget(struct fake_server *s);
bool fake_server_is_done(const struct fake_server *s); /* every step was taken */

/* Nobody listens on the port; then again. Connections stay. */
void fake_server_refuse(struct fake_server *s);
void fake_server_listen(struct fake_server *s);
/* Sends this on the newest connection, asked or not. */
void fake_server_say(struct fake_server *s, const char *text);
void fake_server_hang_up(struct fake_server *s); /* every connection */

/* Every request so far, a line each, of all connections. */
const char *fake_server_heard(const struct fake_server *s);
unsigned fake_server_accepted(const struct fake_server *s); /* connections so far */
