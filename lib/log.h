/* The log: one JSON object a line on standard error. Lines of one thread leave together. */
#pragma once

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Before the first thread. `service` stands in every line. Lines below `level` are dropped. */
void log_init(const char *service, enum log_level level);
int log_enabled(enum log_level level);

/* A line is begun, given fields and ended, in this order, on one thread:
 *     log_begin(LOG_WARN, "redis is unavailable");
 *     log_text("reason", reason);
 *     log_int("retry_ms", delay);
 *     log_end();
 * Values are escaped; a NULL text is left out. Fields of a line below the level cost nothing. */
void log_begin(enum log_level level, const char *message);
void log_text(const char *key, const char *value);
void log_int(const char *key, int64_t value);
/* Keeps the line until log_flush, or writes at once where log_hold was not called. */
void log_end(void);

/* From now on this thread's lines wait for log_flush (at most 64 KiB of them), which writes them in
 * one call. */
void log_hold(void);
void log_flush(void);
