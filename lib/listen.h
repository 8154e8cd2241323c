/* A listening TCP socket. */
#pragma once

#include "lib/must.h"

/* Listens on a numeric address; :: is every address, IPv6 and IPv4, also where the machine has no
 * IPv6. The socket is the caller's. On failure a negative UV_E…, and *ret_reason is a sentence that
 * the caller frees. */
MUST_USE int listen_on(const char *address, int port, int *ret_fd, char **ret_reason);
