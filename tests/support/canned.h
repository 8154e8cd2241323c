/* A server in a process of its own that answers each connection with the same bytes. */
#pragma once

struct process;

/* Listens on 127.0.0.1:port; reads one request a connection, writes `answer`, closes. What it reads
 * stands in its output (process_output), ended by the empty line. */
struct process *canned_start(const char *directory, int port, const char *answer);
