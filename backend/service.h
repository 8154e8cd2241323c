/* The backend as a service: its routes, and what each worker makes, flushes, settles and closes. */
#pragma once

struct backend_config;

/* Serves until a signal has come and all is answered. Returns the exit status. */
int backend_run(const struct backend_config *config);
