/* The life of one worker's HTTP server: libmicrohttpd on the loop, its turns, drain, end.
 *
 * DESIGN. libmicrohttpd runs in external epoll mode: its epoll descriptor is polled by the loop,
 * and MHD_run is called in the worker's prepare callback only, never inside another callback. A run
 * is needed when its descriptor became readable, when the time it asked for has come, or when we
 * gave it something to do (a reply, a drain); each of these sets run_wanted. Nothing else changes
 * its state, so a turn without it skips the run. Progress inside a run (an answer was queued, a
 * request or connection ended) sets run_wanted too: one run queues the answer, the next sends it, a
 * third reads what came meanwhile. A request that begins to wait does not: a run would only ask all
 * that wait whether they still do. */
#include "lib/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/mem.h"

enum { RUNS_PER_TURN = 8, IDLE_AFTER_MS = 500, PENDING_RETRY_MS = 1 };

uint64_t http_random(struct http *http)
{
    uint64_t z = http->random += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void on_epoll_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct http *http = poll->data;
    http->run_wanted = true;
}

static void on_wake(uv_timer_t *timer)
{
    struct http *http = timer->data;
    http->run_wanted = true;
}

static void on_library_message(void *cls, const char *format, va_list arguments)
{
    struct http *http = cls;
    if (http->options.on_library_message == NULL)
        return;
    char text[256];
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    http->options.on_library_message(text, http->options.context);
}

/* A closed connection needs one more run: at its limit, 0.9.75 accepts again only after that. */
static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    (void)connection;
    (void)context;
    struct http *http = cls;
    bool opened = code == MHD_CONNECTION_NOTIFY_STARTED;
    http_adjust(&http->connections, opened ? 1 : -1);
    http->run_wanted = true;
    if (opened)
        http->spoke_ms = http->now_ms;
    if (opened && atomic_load_explicit(&http->connections, memory_order_relaxed) ==
                      http->options.max_connections)
        http_count_limit(http, LIMIT_MAX_CONNECTIONS);
}

static unsigned daemon_flags(void)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
#if MHD_VERSION >= 0x00097707
    flags |= MHD_USE_NO_THREAD_SAFETY;
#endif
    return flags;
}

static struct MHD_Daemon *start_daemon(struct http *http, int listen_fd)
{
#if MHD_VERSION >= 0x00097701
    enum MHD_OPTION strictness = MHD_OPTION_CLIENT_DISCIPLINE_LVL;
    int level = 1;
#else
    /* Strict, 0.9.75 checks Host and blanks in the address and answers with its head sent twice; we
     * check both ourselves. */
    enum MHD_OPTION strictness = MHD_OPTION_STRICT_FOR_CLIENT;
    int level = 0;
#endif
    /* The logger stands first: what the options after it complain of goes to it. */
    return MHD_start_daemon(
        daemon_flags(), 0, NULL, NULL, http_on_request, http, MHD_OPTION_EXTERNAL_LOGGER,
        on_library_message, http, MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        http->options.max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        http->options.connection_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, strictness, level,
        MHD_OPTION_URI_LOG_CALLBACK, http_on_uri, http, MHD_OPTION_NOTIFY_COMPLETED,
        http_on_completed, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
}

static void measure_routes(struct http *http)
{
    size_t most = 0;
    for (const struct http_route *route = http->options.routes; route->path; route++) {
        http->route_count++;
        if (route->state_size > most)
            most = route->state_size;
    }
    http->request_size = sizeof(struct http_request) + most;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http *http = handle->data;
    if (--http->open_handles > 0)
        return;
    http_metrics_done(http);
    free(http);
}

/* The descriptor must leave the loop before the daemon closes it. */
static void close_handles(struct http *http)
{
    http->open_handles = 2;
    uv_close((uv_handle_t *)&http->poll, on_handle_closed);
    uv_close((uv_handle_t *)&http->wake, on_handle_closed);
}

static int start_poll(struct http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    MUST(info != NULL);
    int error = uv_poll_init(http->options.loop, &http->poll, info->epoll_fd);
    if (error)
        return error;
    MUST(uv_timer_init(http->options.loop, &http->wake) == 0);
    http->poll.data = http->wake.data = http;
    error = uv_poll_start(&http->poll, UV_READABLE, on_epoll_ready);
    MUST(error == 0);
    return 0;
}

static void free_stopped(struct http *http)
{
    http_metrics_done(http);
    free(http);
}

int http_new(const struct http_options *options, struct http **ret_http)
{
    struct http *http = xcalloc(1, sizeof *http);
    http->options = *options;
    http->now_ms = uv_now(options->loop);
    http->run_wanted = true; /* the first run puts the listening socket into the epoll set */
    TAILQ_INIT(&http->requests);
    TAILQ_INIT(&http->free);
    TAILQ_INIT(&http->kept);
    MUST(getrandom(&http->random, sizeof http->random, 0) == sizeof http->random);
    measure_routes(http);
    http_metrics_init(http);

    int fd = fcntl(options->listen_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        int error = -errno;
        free_stopped(http);
        return error;
    }
    http->daemon = start_daemon(http, fd);
    if (http->daemon == NULL) {
        close(fd);
        free_stopped(http);
        return UV_ENOMEM;
    }
    int error = start_poll(http);
    if (error) {
        MHD_stop_daemon(http->daemon);
        free_stopped(http);
        return error;
    }
    *ret_http = http;
    return 0;
}

void http_run(struct http *http)
{
    http->now_ms = uv_now(http->options.loop);
    for (int i = 0; http->run_wanted && i < RUNS_PER_TURN; i++) {
        http->run_wanted = false;
        MHD_run(http->daemon);
    }
}

/* How long the loop may sleep; -1: until something happens. Requests that wait unsuspended make
 * MHD_get_timeout answer 0, which must not spin the loop. */
static int64_t sleep_ms(struct http *http, bool waits)
{
    MHD_UNSIGNED_LONG_LONG timeout = 0;
    if (http->run_wanted)
        return 0;
    if (MHD_get_timeout(http->daemon, &timeout) != MHD_YES)
        return -1;
    if (timeout == 0 && waits)
        return PENDING_RETRY_MS;
    return (int64_t)timeout;
}

/* A timer that fires too early costs one run, so it is moved only to an earlier time; but the one
 * of requests that wait ends with them, since it would fire after each. */
void http_arm(struct http *http)
{
    bool waits = http_waiting(http) > http->parked;
    int64_t ms = sleep_ms(http, waits);
    if (http->wakes_waiters && !waits)
        uv_timer_stop(&http->wake);
    http->wakes_waiters = waits;
    if (ms < 0)
        return;
    if (uv_is_active((uv_handle_t *)&http->wake) &&
        uv_timer_get_due_in(&http->wake) <= (uint64_t)ms)
        return;
    uv_timer_start(&http->wake, on_wake, (uint64_t)ms, 0);
}

void http_drain(struct http *http)
{
    http->draining = true;
}

/* From here on the kernel drops who wants to connect, and they try again a second later, elsewhere:
 * without this, whoever connects between our last accept and the close is reset. All duplicates of
 * the socket share the filter. */
static void refuse_newcomers(int listen_fd)
{
    enum { FLAGS_OFFSET = 13, SYN = 2 }; /* in the TCP header, where the filter's view begins */
    struct sock_filter drop_syn[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_OFFSET),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = 4, .filter = drop_syn};
    /* Not to be had everywhere (sandboxes); then a few may be reset. */
    (void)setsockopt(listen_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* Those who were connected before we stopped listening are served. */
static void take_accept_queue(struct http *http, int listen_fd)
{
    for (;;) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int fd =
            accept4(listen_fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            return;
        if (MHD_add_connection(http->daemon, fd, (struct sockaddr *)&address, length) != MHD_YES)
            http_count_limit(http, LIMIT_MAX_CONNECTIONS);
    }
}

void http_quiesce(struct http *http)
{
    MUST(!http->quiesced);
    http->quiesced = http->draining = true;
    int fd = MHD_quiesce_daemon(http->daemon);
    MUST(fd >= 0);
    refuse_newcomers(fd);
    take_accept_queue(http, fd);
    close(fd);
    http->spoke_ms = uv_now(http->options.loop);
    http->run_wanted = true;
}

bool http_is_idle(const struct http *http)
{
    if (!TAILQ_EMPTY(&http->requests))
        return false;
    return atomic_load_explicit(&http->connections, memory_order_relaxed) == 0 ||
           uv_now(http->options.loop) - http->spoke_ms >= IDLE_AFTER_MS;
}

static void free_requests(struct http *http)
{
    struct http_request *req;
    MUST(TAILQ_EMPTY(&http->requests));
    while ((req = TAILQ_FIRST(&http->free)) != NULL) {
        TAILQ_REMOVE(&http->free, req, link);
        free(req);
    }
}

void http_free(struct http *http)
{
    struct http_request *req;
    if (http == NULL)
        return;
    TAILQ_FOREACH(req, &http->requests, link)
    http_request_vanish(req);
    close_handles(http);
    MHD_stop_daemon(http->daemon);
    free_requests(http);
    http_kept_free(http);
}

unsigned http_waiting(const struct http *http)
{
    return atomic_load_explicit(&http->waiting, memory_order_relaxed);
}
