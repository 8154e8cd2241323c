/* Fuzzes the whole frontend: raw bytes to the running service, with a Redis that counts. */
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "frontend/config.h"
#include "frontend/service.h"
#include "lib/buf.h"
#include "lib/must.h"

/* DESIGN. The service runs in a thread of this process, so that its coverage guides the fuzzer.
 * Each input is one connection: the first byte says into how large pieces the rest is cut (0: one
 * piece). How long to wait for answers nobody can say: a second connection asks for the total,
 * which goes through Redis as visits do, and when it brought nothing new to the first, that one is
 * hung up. A service that does not answer the second in time is a finding, and so is an answer that
 * is not HTTP, or a number that came before. */
enum { PATIENCE_MS = 5000, COMMAND_ROOM = 64 * 1024 };

static int service_port;
static uint64_t highest;

static int listen_anywhere(int *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 16) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&at, &length) == 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

/* Else answers that follow each other wait for the kernel's acknowledgement. */
static void send_at_once(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* ---- a Redis that knows what the service says: PING, SCRIPT LOAD, EVAL(SHA) of a batch, GET ----
 */

/* The argument after `skip` others of a whole command; NULL: there are not so many. */
static const char *argument(const char *command, unsigned skip)
{
    const char *at = command;
    for (unsigned i = 0; at && i <= skip; i++) {
        at = strchr(at + 1, '$');
        unsigned long length = at ? strtoul(at + 1, NULL, 10) : 0;
        const char *text = at ? strchr(at, '\n') : NULL;
        if (!text || i == skip)
            return text ? text + 1 : NULL;
        at = text + length;
    }
    return NULL;
}

static void answer_command(int fd, const char *command)
{
    static unsigned long long counter;
    char reply[128] = "+PONG\r\n";
    const char *name = argument(command, 0);
    if (name && strncmp(name, "EVAL", 4) == 0) {
        const char *n = argument(command, 6);
        counter += n ? strtoull(n, NULL, 10) : 0;
        snprintf(reply, sizeof reply, "*2\r\n:%llu\r\n:0\r\n", counter);
    } else if (name && strncmp(name, "SCRIPT", 6) == 0) {
        snprintf(reply, sizeof reply, "$40\r\n%040d\r\n", 0);
    } else if (name && strncmp(name, "GET", 3) == 0) {
        char text[32];
        int length = snprintf(text, sizeof text, "%llu", counter);
        snprintf(reply, sizeof reply, "$%d\r\n%s\r\n", length, text);
    }
    (void)send(fd, reply, strlen(reply), MSG_NOSIGNAL);
}

/* Commands begin with *, which stands at no other line's beginning in what the service sends. */
static void *serve_redis(void *arg)
{
    static char room[COMMAND_ROOM];
    int fd = *(int *)arg, peer;
    while ((peer = accept(fd, NULL, NULL)) >= 0) {
        ssize_t n;
        send_at_once(peer);
        while ((n = recv(peer, room, sizeof room - 1, 0)) > 0) {
            room[n] = '\0';
            for (char *at = room[0] == '*' ? room : NULL; at; at = strstr(at + 1, "\r\n*")) {
                at += at[0] == '\r' ? 2 : 0;
                answer_command(peer, at);
            }
        }
        close(peer);
    }
    return NULL;
}

/* ---- the service ---- */

static void *serve(void *config)
{
    (void)service_run(config);
    abort(); /* it must not end before the fuzzer does */
}

static int visit(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)service_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0);
    send_at_once(fd);
    int error = connect(fd, (struct sockaddr *)&to, sizeof to);
    while (error && errno == EINTR) /* libFuzzer's clock; connecting goes on */
        error = connect(fd, (struct sockaddr *)&to, sizeof to);
    if (error == 0 || errno == EISCONN)
        return fd;
    close(fd);
    return -1;
}

static void set_number(const char *name, int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    setenv(name, text, 1);
}

static void start_service(void)
{
    static struct frontend_config config;
    static int redis_fd;
    static char redis_url[64];
    struct buf errors = {0};
    pthread_t redis, service;
    int redis_port;
    redis_fd = listen_anywhere(&redis_port);
    close(listen_anywhere(&service_port));
    snprintf(redis_url, sizeof redis_url, "redis://127.0.0.1:%d", redis_port);
    set_number("PORT", service_port);
    setenv("REDIS_URL", redis_url, 1);
    setenv("BACKEND_URL", "", 1);
    setenv("LOG_LEVEL", "error", 1);
    setenv("LISTEN_ADDRESS", "127.0.0.1", 1);
    MUST(frontend_config_load(&config, &errors) == 0);
    /* libFuzzer's clock is not theirs. */
    sigset_t clock, before;
    sigemptyset(&clock);
    sigaddset(&clock, SIGALRM);
    MUST(pthread_sigmask(SIG_BLOCK, &clock, &before) == 0);
    MUST(pthread_create(&redis, NULL, serve_redis, &redis_fd) == 0);
    MUST(pthread_create(&service, NULL, serve, &config) == 0);
    MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    int fd;
    while ((fd = visit()) < 0)
        poll(NULL, 0, 1);
    close(fd);
}

/* ---- one input ---- */

static void send_pieces(int fd, const uint8_t *data, size_t size, size_t piece)
{
    for (size_t at = 0; at < size; at += piece) {
        size_t length = size - at < piece ? size - at : piece;
        if (send(fd, data + at, length, MSG_NOSIGNAL) != (ssize_t)length)
            return; /* the service has hung up: it may */
    }
}

/* libFuzzer's clock interrupts. */
static bool is_answered(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&wait, 1, PATIENCE_MS);
    while (ready < 0 && errno == EINTR);
    return ready == 1;
}

/* The status; the answer is JSON either way, and its head holds no brace. */
static int ask_for_total(int fd)
{
    static const char request[] = "GET /api/v1/visits HTTP/1.1\r\nHost: fuzz\r\n"
                                  "Accept: application/json\r\n\r\n";
    char room[2048];
    size_t length = 0;
    MUST(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1);
    do {
        MUST(is_answered(fd));
        ssize_t n = recv(fd, room + length, sizeof room - 1 - length, 0);
        MUST(n > 0);
        length += (size_t)n;
        room[length] = '\0';
    } while (strchr(room, '}') == NULL);
    MUST(strncmp(room, "HTTP/1.1 ", 9) == 0);
    return (int)strtol(room + 9, NULL, 10);
}

/* How much there is without waiting. */
static size_t read_some(int fd, struct buf *out)
{
    size_t before = out->length;
    char room[8192];
    ssize_t n;
    while ((n = recv(fd, room, sizeof room, MSG_DONTWAIT)) > 0)
        buf_append(out, room, (size_t)n);
    return out->length - before;
}

static void hang_up(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

/* Numbers of one connection rise, and this is the only visitor. */
static void check_numbers(const char *answers)
{
    static const char mark[] = "\"visitor\":";
    for (const char *at = strstr(answers, mark); at; at = strstr(at + 1, mark)) {
        uint64_t number = strtoull(at + sizeof mark - 1, NULL, 10);
        MUST(number > highest);
        highest = number;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int control = -1;
    if (service_port == 0)
        start_service();
    if (size < 2)
        return 0;
    if (control < 0) {
        control = visit();
        while (ask_for_total(control) != 200)
            poll(NULL, 0, 1); /* the service finds its Redis */
    }
    int fd = visit();
    MUST(fd >= 0 && control >= 0);
    struct buf answers = {0};
    send_pieces(fd, data + 1, size - 1, data[0] ? data[0] : size);
    do
        MUST(ask_for_total(control) == 200);
    while (read_some(fd, &answers) > 0);
    hang_up(fd);
    MUST(answers.length == 0 || strncmp(answers.data, "HTTP/1.", 7) == 0);
    if (answers.length)
        check_numbers(answers.data);
    buf_done(&answers);
    return 0;
}
