/* Sends requests at a held rate and tells how long each took, counted from the moment when it was
 * due. pace PORT CONNECTIONS RATE SECONDS FILE FILE holds the request as it goes over the wire:
 * HTTP, or a Redis command that is answered with a number. One line of JSON comes out, times in
 * microseconds.
 *
 * DESIGN. An open loop: the moments are fixed beforehand, so a server that stalls is charged with
 * every request that came due meanwhile, also those that found no free connection. It spins, since
 * waking up would cost more than what is measured: give it a core of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 1024, ROOM = 1 << 16, MOST = 1 << 22, GRACE_S = 2 };

struct connection {
    int fd;
    int64_t due_ns;
    size_t length; /* of the answer, as far as it has come */
    char answer[ROOM];
};

static struct connection connections[CONNECTIONS];
static struct connection *idle[CONNECTIONS]; /* a ring: who has been idle longest is next */
static unsigned idle_first, idle_count;
static uint32_t latencies_us[MOST];
static unsigned answered, wrong;
static char request[ROOM];
static size_t request_length;

static _Noreturn void die(const char *why)
{
    fprintf(stderr, "pace: %s: %s\n", why, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void put_idle(struct connection *c)
{
    idle[(idle_first + idle_count++) % CONNECTIONS] = c;
}

static struct connection *take_idle(void)
{
    struct connection *c = idle[idle_first];
    idle_first = (idle_first + 1) % CONNECTIONS;
    idle_count--;
    return c;
}

static void open_connection(struct connection *c, int epoll, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll");
    put_idle(c);
}

static void ask(struct connection *c, int64_t due_ns)
{
    c->due_ns = due_ns;
    c->length = 0;
    if (write(c->fd, request, request_length) != (ssize_t)request_length)
        die("write");
}

/* Of a Redis number the line, of HTTP the header and as much as Content-Length says. */
static bool is_whole(const struct connection *c)
{
    const char *end, *field;
    if (c->answer[0] != 'H')
        return c->length > 2 && c->answer[c->length - 1] == '\n';
    end = strstr(c->answer, "\r\n\r\n");
    field = end ? strcasestr(c->answer, "\r\ncontent-length:") : NULL;
    if (end && (!field || field > end)) {
        errno = EPROTO;
        die("an answer without its length");
    }
    return end && c->length >=
                      (size_t)(end + 4 - c->answer) + strtoul(strchr(field + 2, ':') + 1, NULL, 10);
}

static void on_readable(struct connection *c)
{
    ssize_t got = read(c->fd, c->answer + c->length, ROOM - 1 - c->length);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        die("the server hung up");
    c->length += (size_t)got;
    c->answer[c->length] = '\0';
    if (!is_whole(c))
        return;
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0 && c->answer[0] != ':')
        wrong++;
    latencies_us[answered++] = (uint32_t)((now_ns() - c->due_ns) / 1000);
    put_idle(c);
}

static void run(int epoll, unsigned wanted, int64_t pause_ns)
{
    struct epoll_event events[64];
    int64_t start = now_ns(), now = start, end = start + wanted * pause_ns + GRACE_S * 1000000000LL;
    unsigned asked = 0;
    while (answered < wanted && now < end) {
        while (asked < wanted && idle_count > 0 && start + asked * pause_ns <= now) {
            ask(take_idle(), start + asked * pause_ns);
            asked++;
        }
        int count = epoll_wait(epoll, events, 64, 0);
        for (int i = 0; i < count; i++)
            on_readable(events[i].data.ptr);
        now = now_ns();
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static unsigned percentile(double percent)
{
    return answered ? latencies_us[(unsigned)(percent / 100 * (answered - 1))] : 0;
}

static void read_request(const char *name)
{
    FILE *f = fopen(name, "r");
    if (!f)
        die(name);
    request_length = fread(request, 1, ROOM, f);
    fclose(f);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: pace PORT CONNECTIONS RATE SECONDS FILE\n");
        return 2;
    }
    long port = strtol(argv[1], NULL, 10), count = strtol(argv[2], NULL, 10);
    double rate = strtod(argv[3], NULL), wanted = rate * strtod(argv[4], NULL);
    int epoll = epoll_create1(0);
    if (count < 1 || count > CONNECTIONS || wanted < 1 || wanted > MOST) {
        fprintf(stderr, "pace: at most %d connections and %d requests\n", CONNECTIONS, MOST);
        return 2;
    }
    read_request(argv[5]);
    for (long i = 0; i < count; i++)
        open_connection(&connections[i], epoll, (uint16_t)port);
    run(epoll, (unsigned)wanted, (int64_t)(1e9 / rate));
    qsort(latencies_us, answered, sizeof(*latencies_us), by_size);
    printf("{\"wanted\":%u,\"answered\":%u,\"wrong\":%u,\"p50\":%u,\"p99\":%u,\"p999\":%u,\"max\":%"
           "u}\n",
           (unsigned)wanted, answered, wrong, percentile(50), percentile(99), percentile(99.9),
           percentile(100));
    return 0;
}
