/* The frontend as a service: its routes, and what each worker makes, flushes, settles and closes.
 */
#pragma once

struct frontend_config;

/* Serves until a signal has come and all workers have left. Returns the exit status. */
int service_run(const struct frontend_config *config);
