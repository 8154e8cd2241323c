/* A server in a process of its own that answers each connection with the same bytes. */
#include "tests/support/canned.h"

#include <stdio.h>

#include "tests/support/process.h"

/* Python, since a forked copy of this test would carry its threads'
 * locks and its coverage counts. */
static const char program[] =
    "import socket, sys\n"
    "s = socket.create_server(('127.0.0.1', int(sys.argv[1])), backlog=64)\n"
    "while True:\n"
    "    c, _ = s.accept()\n"
    "    text = b''\n"
    "    while b'\\r\\n\\r\\n' not in text:\n"
    "        more = c.recv(65536)\n"
    "        if not more:\n"
    "            break\n"
    "        text += more\n"
    "    sys.stdout.write(text.decode('latin-1'))\n"
    "    sys.stdout.flush()\n"
    "    if text:\n"
    "        c.sendall(sys.argv[2].encode('latin-1'))\n"
    "    c.close()\n";

struct process *canned_start(const char *directory, int port, const char *answer)
{
    char number[16];
    const char *const argv[] = {"python3", "-c", program, number, answer, NULL};
    const struct process_options o = {.name = "canned", .directory = directory, .argv = argv};
    snprintf(number, sizeof number, "%d", port);
    struct process *p = process_start(&o);
    process_wait_port(p, port, 10000);
    return p;
}
