/* Small things of the system that tests need: ports, sockets, clocks, files. */
#pragma once

#include <stddef.h>

/* A blocking TCP connection to 127.0.0.1:port, or -1. */
int net_connect(int port);
/* A port that nobody else gets: below the range of outgoing connections, locked against other tests
 * until this process ends, so that a server may be killed and come back on it. */
int port_reserve(void);

/* Milliseconds and nanoseconds of a clock that only goes forward. */
unsigned long long now_ms(void);
unsigned long long now_ns(void);
/* Gives up the processor for a moment, between two looks at something that is waited for. */
void pause_ms(unsigned ms);

/* A whole file, NUL-terminated; the caller frees it. NULL when it cannot be read. */
char *file_read(const char *path);
void file_write(const char *path, const char *text);
/* A new private directory; the caller frees the name. It goes, with all in it, when this process
 * has ended in whichever way, except where TALLY_KEEP is set. */
char *directory_new(const char *name);
