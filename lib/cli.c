/* What both services' command lines have in common. */
#include "lib/cli.h"
#include "lib/buf.h"
#include "lib/build.h"
#include "lib/must.h"
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEALTHCHECK_MS = 2000, OTHERS_MAX = 16, REPLY_MAX = 1024 };

/* What getopt_long answers; OPTION_OTHER + i is the service's option i. */
enum { OPTION_HELP = 1000, OPTION_VERSION, OPTION_CHECK, OPTION_HEALTH, OPTION_OTHER };

static const struct option common_options[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"check-config", no_argument, NULL, OPTION_CHECK},
    {"healthcheck", no_argument, NULL, OPTION_HEALTH},
};
enum { COMMON_COUNT = sizeof(common_options) / sizeof(common_options[0]) };

static void print_help(const struct cli_service *service)
{
    struct buf out = {0};
    buf_printf(
        &out,
        "%s: %s\n\nUsage: %s [option]\n\n"
        "  --help          this text\n"
        "  --version       release, revision and tree of this build\n"
        "  --check-config  say all that is wrong with the settings; exit status 2 if any is\n"
        "  --healthcheck   ask the running service's /healthz; exit status 0 or 1\n%s\n"
        "Settings are environment variables, here with their defaults:\n\n",
        service->name, service->purpose, service->name, service->more_options);
    config_help(service->table, service->table_count, &out);
    fputs(out.data, stdout);
    buf_done(&out);
}

static void print_version(const struct cli_service *service)
{
    const char *release = getenv("RELEASE");
    printf("%s %s (revision %s, tree %s)\n", service->name,
           release && *release ? release : build_revision, build_revision, build_tree);
}

/* The common options and the service's own, ended by an empty row. */
static void make_options(const char *const *others, struct option *ret_options)
{
    memcpy(ret_options, common_options, sizeof(common_options));
    for (int i = 0; others && others[i]; i++) {
        MUST(i < OTHERS_MAX);
        ret_options[COMMON_COUNT + i] =
            (struct option){others[i] + 2, no_argument, NULL, OPTION_OTHER + i};
    }
}

static enum cli_wish wish_of(int option)
{
    if (option == OPTION_CHECK)
        return CLI_CHECK_CONFIG;
    return option == OPTION_HEALTH ? CLI_HEALTHCHECK : CLI_OTHER;
}

static enum cli_wish complain(const struct cli_service *service, const char *what)
{
    fprintf(stderr, "%s: %s; see %s --help\n", service->name, what, service->name);
    return CLI_EXIT_USAGE;
}

enum cli_wish cli_parse(const struct cli_service *service, int argc, char **argv,
                        const char *const *others, unsigned *ret_others)
{
    struct option options[COMMON_COUNT + OTHERS_MAX + 1] = {0};
    enum cli_wish wish = CLI_SERVE;
    unsigned asked = 0;
    make_options(others, options);
    optind = 0; /* getopt begins anew */
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == '?')
            return complain(service, "the command line is not understood");
        if (option == OPTION_HELP || option == OPTION_VERSION) {
            option == OPTION_HELP ? print_help(service) : print_version(service);
            return CLI_EXIT_OK;
        }
        if (wish != CLI_SERVE && wish != wish_of(option))
            return complain(service, "these options exclude one another");
        wish = wish_of(option);
        if (wish == CLI_OTHER)
            asked |= 1u << (option - OPTION_OTHER);
    }
    if (optind < argc)
        return complain(service, "it takes options only, no arguments");
    if (ret_others)
        *ret_others = asked;
    return wish;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0 when the socket is ready before the deadline, else an errno. */
static int wait_for(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms - now_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n > 0)
            return 0;
        if (n == 0)
            return ETIMEDOUT;
        if (errno != EINTR)
            return errno;
    }
}

static int open_connection(const char *host, int port, int64_t deadline_ms, int *ret_fd)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *address;
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    if (getaddrinfo(host, service, &hints, &address) != 0)
        return EADDRNOTAVAIL;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : 0;
    if (!error && connect(fd, address->ai_addr, address->ai_addrlen) < 0)
        error = errno;
    freeaddrinfo(address);
    if (error == EINPROGRESS) {
        error = wait_for(fd, POLLOUT, deadline_ms);
        if (!error)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)});
    }
    *ret_fd = fd;
    return error;
}

/* Sends the request; it is so short that a fresh socket takes it whole. */
static int send_request(int fd)
{
    static const char request[] =
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    ssize_t n = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
    if (n < 0)
        return errno;
    return n == sizeof(request) - 1 ? 0 : EIO;
}

/* HTTP/1.1 200, and then a space or the line's end. */
static bool parse_status(const char *line, int *ret_status)
{
    char digits[4], end[2];
    if (strncmp(line, "HTTP/1.", 7) != 0 || !line[7] || line[8] != ' ')
        return false;
    if (sscanf(line + 9, "%3[0-9]%1[ \r\n]", digits, end) != 2 || strlen(digits) != 3)
        return false;
    *ret_status = (int)strtol(digits, NULL, 10);
    return true;
}

/* Reads until the status line is there. */
static int read_status(int fd, int64_t deadline_ms, int *ret_status)
{
    char reply[REPLY_MAX + 1];
    size_t length = 0;
    while (length < REPLY_MAX) {
        int error = wait_for(fd, POLLIN, deadline_ms);
        if (error)
            return error;
        ssize_t n = recv(fd, reply + length, REPLY_MAX - length, 0);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return errno;
        if (n == 0)
            return ECONNRESET;
        if (n < 0)
            continue;
        length += (size_t)n;
        reply[length] = '\0';
        if (memchr(reply, '\n', length))
            return parse_status(reply, ret_status) ? 0 : EPROTO;
    }
    return EPROTO;
}

/* 0 and a status, or an errno. */
static int ask_health(const char *host, int port, int64_t deadline_ms, int *ret_status)
{
    int fd = -1;
    int error = open_connection(host, port, deadline_ms, &fd);
    MUST(error || fd >= 0);
    if (!error)
        error = send_request(fd);
    if (!error)
        error = read_status(fd, deadline_ms, ret_status);
    if (fd >= 0)
        close(fd);
    return error;
}

int cli_healthcheck(const char *listen_address, int port)
{
    bool every = strcmp(listen_address, "::") == 0;
    bool specific = !every && *listen_address && strcmp(listen_address, "0.0.0.0") != 0;
    int64_t deadline_ms = now_ms() + HEALTHCHECK_MS;
    const char *host = specific ? listen_address : "127.0.0.1";
    int status = 0;
    int error = ask_health(host, port, deadline_ms, &status);
    if (error && every) /* a host without IPv4 */
        error = ask_health("::1", port, deadline_ms, &status);
    if (error)
        fprintf(stderr, "/healthz on %s port %d did not answer: %s\n", host, port, strerror(error));
    else if (status != 200)
        fprintf(stderr, "/healthz on %s port %d answered %d\n", host, port, status);
    return error || status != 200 ? 1 : 0;
}
