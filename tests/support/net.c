/* Small things of the system that tests need: ports, sockets, clocks, files. */
#include "tests/support/net.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "lib/mem.h"

enum { PORT_FIRST = 20000, PORT_COUNT = 12000, PORTS_TRIED = 500 };

static const char *temporary(void)
{
    const char *dir = getenv("TMPDIR");
    return dir && *dir ? dir : "/tmp";
}

int net_connect(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    ck_assert_int_ge(fd, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int port_is_free(int port)
{
    struct sockaddr_in6 at = {
        .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_any};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int free_port = bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0;
    close(fd);
    return free_port;
}

/* The lock is never given back before the process ends: the descriptor stays open. */
static int port_lock(int port)
{
    char path[256];
    snprintf(path, sizeof path, "%s/tally-ports.%u", temporary(), (unsigned)getuid());
    mkdir(path, 0700);
    snprintf(path + strlen(path), sizeof path - strlen(path), "/%d", port);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    return 1;
}

int port_reserve(void)
{
    static unsigned next;
    if (!next)
        next = (unsigned)getpid() * 37;
    for (int i = 0; i < PORTS_TRIED; i++) {
        int port = PORT_FIRST + (int)(next++ % PORT_COUNT);
        if (port_lock(port) && port_is_free(port))
            return port;
    }
    ck_abort_msg("no free port");
    return -1;
}

unsigned long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000ULL + (unsigned long long)t.tv_nsec;
}

unsigned long long now_ms(void)
{
    return now_ns() / 1000000;
}

void pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

char *file_read(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    size_t length = 0, room = 1 << 16, got;
    char *text = xmalloc(room);
    while ((got = fread(text + length, 1, room - length - 1, f)) > 0) {
        length += got;
        if (room - length < 2)
            text = xrealloc(text, room *= 2);
    }
    fclose(f);
    text[length] = '\0';
    return text;
}

void file_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    ck_assert_msg(f != NULL, "%s: %s", path, strerror(errno));
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    remove(path);
    return 0;
}

/* Waits for the test process to end, in whichever way, and removes what it left. Its servers are
 * being killed meanwhile and may write a last file: hence more than one attempt. */
static _Noreturn void janitor(const char *path, int alive_fd)
{
    char byte;
    setsid(); /* a time-out of the test kills its whole group */
    int null_fd = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null_fd, fd);
    while (read(alive_fd, &byte, 1) < 0 && errno == EINTR)
        ;
    for (int i = 0; i < 50 && access(path, F_OK) == 0; i++) {
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        pause_ms(20);
    }
    _exit(0);
}

char *directory_new(const char *name)
{
    int alive[2];
    char *path = xasprintf("%s/tally-%s-XXXXXX", temporary(), name);
    ck_assert_msg(mkdtemp(path) != NULL, "%s: %s", path, strerror(errno));
    if (getenv("TALLY_KEEP"))
        return path;
    ck_assert_int_eq(pipe2(alive, O_CLOEXEC), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(alive[1]);
        janitor(path, alive[0]);
    }
    close(alive[0]); /* the other end closes with this process */
    return path;
}
