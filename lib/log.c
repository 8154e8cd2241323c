/* The log: one JSON object a line on standard error.
 *
 * DESIGN. Each thread builds its line, and collects the lines it holds, in memory of its own: no
 * lock. A write carries whole lines; only a pipe that is full may mix two threads' writes of more
 * than 4 KiB. What standard error does not take is lost: the log must not stop the service. */
#include "lib/log.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/must.h"
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HOLD_MAX = 64 * 1024 };

struct thread_log {
    enum { LINE_NONE, LINE_DROPPED, LINE_OPEN } line;
    bool holds;
    struct buf lines; /* whole lines that are held, then the one being built */
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *log_service = ""; /* borrowed; set before the first thread */
static enum log_level log_level = LOG_INFO;
static _Thread_local struct thread_log *this_thread;
static pthread_key_t thread_end; /* its destructor frees a thread's log */
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

static void write_lines(struct buf *lines)
{
    size_t written = 0;
    while (written < lines->length) {
        ssize_t n = write(STDERR_FILENO, lines->data + written, lines->length - written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        written += (size_t)n;
    }
    buf_clear(lines);
}

static void on_thread_end(void *memory)
{
    struct thread_log *log = memory;
    write_lines(&log->lines);
    buf_done(&log->lines);
    free(log);
    this_thread = NULL;
}

static void make_thread_end(void)
{
    MUST(pthread_key_create(&thread_end, on_thread_end) == 0);
}

static struct thread_log *own_log(void)
{
    if (!this_thread) {
        pthread_once(&thread_end_once, make_thread_end);
        this_thread = xcalloc(1, sizeof(*this_thread));
        MUST(pthread_setspecific(thread_end, this_thread) == 0);
    }
    return this_thread;
}

/* RFC 3339, UTC, milliseconds. */
static void put_time(struct buf *out)
{
    struct timespec now;
    struct tm utc;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    buf_printf(out, "{\"ts\":\"%s.%03ldZ\"", text, now.tv_nsec / 1000000);
}

static void put_key(struct buf *out, const char *key)
{
    buf_puts(out, ",");
    buf_put_json(out, key, strlen(key));
    buf_puts(out, ":");
}

void log_init(const char *service, enum log_level level)
{
    log_service = service;
    log_level = level;
}

int log_enabled(enum log_level level)
{
    return level >= log_level;
}

void log_begin(enum log_level level, const char *message)
{
    struct thread_log *log = own_log();
    MUST(log->line == LINE_NONE);
    log->line = log_enabled(level) ? LINE_OPEN : LINE_DROPPED;
    if (log->line == LINE_DROPPED)
        return;
    put_time(&log->lines);
    log_text("level", level_names[level]);
    log_text("service", log_service);
    log_text("msg", message);
}

void log_text(const char *key, const char *value)
{
    struct thread_log *log = own_log();
    MUST(log->line != LINE_NONE);
    if (log->line == LINE_DROPPED || !value)
        return;
    put_key(&log->lines, key);
    buf_put_json(&log->lines, value, strlen(value));
}

void log_int(const char *key, int64_t value)
{
    struct thread_log *log = own_log();
    MUST(log->line != LINE_NONE);
    if (log->line == LINE_DROPPED)
        return;
    put_key(&log->lines, key);
    buf_printf(&log->lines, "%lld", (long long)value);
}

void log_end(void)
{
    struct thread_log *log = own_log();
    MUST(log->line != LINE_NONE);
    bool written = log->line == LINE_OPEN;
    log->line = LINE_NONE;
    if (!written)
        return;
    buf_puts(&log->lines, "}\n");
    if (!log->holds || log->lines.length >= HOLD_MAX)
        write_lines(&log->lines);
}

void log_hold(void)
{
    own_log()->holds = true;
}

void log_flush(void)
{
    struct thread_log *log = own_log();
    MUST(log->line == LINE_NONE);
    if (log->lines.length)
        write_lines(&log->lines);
}
