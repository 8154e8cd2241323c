/* A bare libmicrohttpd daemon that answers every GET with one constant page: what counting is
 * compared with.
 *     bare PORT FILE [JOURNAL]
 * FILE holds an answer of the frontend as it came over the wire: its header fields and its body are
 * what is answered. With a JOURNAL nobody is answered before a line has been appended to that file
 * and is on disk: the least that any server must do which loses nothing.
 *
 * DESIGN. The same library, options, epoll mode and loop turn as in lib/http, and nothing else: no
 * routes, no checks, no ids, no metrics, one response object for all. One write to the journal
 * serves all who wait, and is held back for those who were answered together as in lib/batch. */
#include <fcntl.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { RUNS_PER_TURN = 8, ROOM = 1 << 16, LINE = 256, GATHER_NS = 500 * 1000 };

static struct MHD_Daemon *daemon_;
static struct MHD_Response *page;
static bool run_wanted = true;
static uv_timer_t wake;

static int journal = -1;       /* its descriptor; -1: nobody waits for one */
static uintptr_t write_ = 1;   /* the number of the next write; odd, so never a pointer */
static unsigned waiting, last; /* for the next write; for the one before it */
static uint64_t waiting_since_ns;

static _Noreturn void die(const char *why)
{
    fprintf(stderr, "bare: %s\n", why);
    exit(1);
}

/* ---- the journal ---- */

/* libmicrohttpd asks again at each run for as long as this is so. */
static bool waits(void **context)
{
    if (journal < 0)
        return false;
    if (*context == page) {
        *context = (void *)write_;
        if (waiting++ == 0)
            waiting_since_ns = uv_hrtime();
    }
    return (uintptr_t)*context == write_;
}

static bool gathers(void)
{
    return waiting < last && uv_hrtime() - waiting_since_ns < GATHER_NS;
}

static void write_journal(void)
{
    static const char line[LINE];
    if (write(journal, line, LINE) != LINE || fdatasync(journal) != 0)
        die("the journal cannot be written");
    write_ += 2;
    last = waiting;
    waiting = 0;
    run_wanted = true;
}

/* ---- requests ---- */

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    (void)cls, (void)path, (void)method, (void)version, (void)data, (void)size;
    if (*context == NULL) {
        *context = page;
        run_wanted = true;
        return MHD_YES;
    }
    if (waits(context))
        return MHD_YES;
    run_wanted = true;
    return MHD_queue_response(connection, 200, page);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls, (void)connection, (void)context, (void)code;
    run_wanted = true;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)status, (void)events;
    run_wanted = true;
}

static void on_wake(uv_timer_t *timer)
{
    (void)timer;
    run_wanted = true;
}

static void run(void)
{
    for (int i = 0; run_wanted && i < RUNS_PER_TURN; i++) {
        run_wanted = false;
        MHD_run(daemon_);
    }
}

/* Moves the timer to an earlier time only. */
static void wake_within(uint64_t ms)
{
    if (!uv_is_active((uv_handle_t *)&wake) || uv_timer_get_due_in(&wake) > ms)
        uv_timer_start(&wake, on_wake, ms, 0);
}

static void on_turn(uv_prepare_t *prepare)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    (void)prepare;
    run();
    if (waiting > 0 && !gathers()) {
        write_journal();
        run();
    }
    if (run_wanted)
        wake_within(0);
    else if (waiting > 0)
        wake_within(1);
    else if (MHD_get_timeout(daemon_, &timeout) == MHD_YES)
        wake_within(timeout);
}

/* ---- the start ---- */

/* The library makes these itself. */
static bool is_own(const char *name)
{
    return !strcasecmp(name, "Date") || !strcasecmp(name, "Connection") ||
           !strcasecmp(name, "Content-Length");
}

static void read_page(const char *file)
{
    static char text[ROOM];
    FILE *f = fopen(file, "r");
    if (!f)
        die("the file cannot be read");
    size_t length = fread(text, 1, ROOM - 1, f);
    fclose(f);
    char *body = strstr(text, "\r\n\r\n"), *line = strstr(text, "\r\n");
    if (!body)
        die("the file holds no answer");
    *body = '\0';
    body += 4;
    page = MHD_create_response_from_buffer(length - (size_t)(body - text), body,
                                           MHD_RESPMEM_PERSISTENT);
    for (char *next; line && *line; line = next) {
        char *name = line + 2, *colon = strstr(name, ": ");
        next = strstr(name, "\r\n");
        if (next)
            *next = '\0';
        if (!colon)
            die("the file holds a header field without a colon");
        *colon = '\0';
        if (!is_own(name) && MHD_add_response_header(page, name, colon + 2) != MHD_YES)
            die("a header field was refused");
        if (next)
            *next = '\r';
    }
}

static void start_daemon(int port)
{
#if MHD_VERSION >= 0x00097701
    enum MHD_OPTION strictness = MHD_OPTION_CLIENT_DISCIPLINE_LVL;
#else
    enum MHD_OPTION strictness = MHD_OPTION_STRICT_FOR_CLIENT;
#endif
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
#if MHD_VERSION >= 0x00097707
    flags |= MHD_USE_NO_THREAD_SAFETY;
#endif
    daemon_ = MHD_start_daemon(flags, (uint16_t)port, NULL, NULL, on_request, NULL,
                               MHD_OPTION_CONNECTION_LIMIT, 10000u, MHD_OPTION_CONNECTION_TIMEOUT,
                               75u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)10240,
                               MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, strictness, 1,
                               MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (!daemon_)
        die("the daemon did not start");
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_poll_t poll;
    uv_prepare_t turn;
    if (argc != 3 && argc != 4)
        die("usage: bare PORT FILE [JOURNAL]");
    signal(SIGPIPE, SIG_IGN);
    read_page(argv[2]);
    if (argc == 4 && (journal = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
        die("the journal cannot be opened");
    start_daemon((int)strtol(argv[1], NULL, 10));
    uv_poll_init(loop, &poll, MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    uv_poll_start(&poll, UV_READABLE, on_ready);
    uv_timer_init(loop, &wake);
    uv_prepare_init(loop, &turn);
    uv_prepare_start(&turn, on_turn);
    return uv_run(loop, UV_RUN_DEFAULT);
}
