/* A TCP proxy that misbehaves on demand: between a service under test and what it depends on. */
#include "tests/support/proxy.h"

#include <arpa/inet.h>

#include <check.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/mem.h"
#include "lib/must.h"
#include "tests/support/net.h"

enum { CHUNK = 16 * 1024, LOOK_EVERY_MS = 20, BACKLOG = 128 };

struct pair {
    SLIST_ENTRY(pair) link;
    struct proxy *proxy; /* borrowed: joins its pairs before it goes */
    pthread_t thread;
    int client, server;
    unsigned cuts; /* of proxy_cut_all, as many as there were at its beginning */
};

struct proxy {
    int listen_fd, port;
    atomic_int target;
    atomic_bool over;
    atomic_uint cuts, faults;
    pthread_t thread;
    SLIST_HEAD(, pair) pairs; /* of the accepting thread, then of proxy_free */
    pthread_mutex_t lock;     /* of what follows */
    struct proxy_order order;
    size_t carried; /* bytes in the direction of the order, since it was given */
    char *last;     /* request */
    size_t last_length;
};

/* What is to be done with the bytes in hand. */
struct verdict {
    struct proxy_order order; /* PROXY_PASS: nothing */
    size_t pass;              /* of PROXY_CUT: so many bytes still go */
};

static void reset_on_close(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static bool send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}

static bool send_slowly(const struct pair *pair, const char *bytes, size_t length, unsigned ms)
{
    for (size_t i = 0; i < length; i++) {
        if (atomic_load(&pair->proxy->over) || !send_all(pair->client, bytes + i, 1))
            return false;
        pause_ms(ms);
    }
    return true;
}

static bool concerns(enum proxy_fault fault, bool answers)
{
    return fault != PROXY_PASS && (fault == PROXY_CUT_REQUEST) != answers;
}

/* An order that happens once is over with this. */
static void happened(struct proxy *p)
{
    p->order.fault = PROXY_PASS;
    atomic_fetch_add(&p->faults, 1);
}

static struct verdict judge(struct proxy *p, char *bytes, size_t length, bool answers)
{
    struct verdict v = {.pass = length};
    pthread_mutex_lock(&p->lock);
    if (concerns(p->order.fault, answers)) {
        size_t at = p->order.at - p->carried;
        bool here = p->order.at >= p->carried && at < length;
        v.order = p->order;
        p->carried += length;
        switch (p->order.fault) {
        case PROXY_CUT:
        case PROXY_CUT_REQUEST:
            v.order.fault = here ? PROXY_CUT : PROXY_PASS;
            v.pass = here ? at : length;
            if (here)
                happened(p);
            break;
        case PROXY_GARBLE:
            v.order.fault = PROXY_PASS;
            if (here) {
                bytes[at] = (char)(bytes[at] ^ 0x15);
                happened(p);
            }
            break;
        case PROXY_REPLACE:
            happened(p);
            break;
        default:
            break;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return v;
}

/* false: this connection is over. */
static bool deliver(const struct pair *pair, bool answers, char *bytes, size_t length)
{
    int to = answers ? pair->client : pair->server;
    struct verdict v = judge(pair->proxy, bytes, length, answers);
    switch (v.order.fault) {
    case PROXY_DELAY:
        pause_ms(v.order.ms);
        return send_all(to, bytes, length);
    case PROXY_TRICKLE:
        return send_slowly(pair, bytes, length, v.order.ms);
    case PROXY_HOLD:
        return true;
    case PROXY_CUT:
        (void)send_all(to, bytes, v.pass);
        return false;
    case PROXY_REPLACE:
        return send_all(to, v.order.text, strlen(v.order.text));
    default:
        return send_all(to, bytes, length);
    }
}

static void remember(struct proxy *p, const char *bytes, size_t length)
{
    pthread_mutex_lock(&p->lock);
    free(p->last);
    p->last = xmalloc(length);
    memcpy(p->last, bytes, length);
    p->last_length = length;
    pthread_mutex_unlock(&p->lock);
}

static bool carry(const struct pair *pair, bool answers)
{
    char bytes[CHUNK];
    ssize_t n = recv(answers ? pair->server : pair->client, bytes, sizeof bytes, 0);
    if (n <= 0)
        return false;
    if (!answers)
        remember(pair->proxy, bytes, (size_t)n);
    return deliver(pair, answers, bytes, (size_t)n);
}

static void *run_pair(void *arg)
{
    struct pair *pair = arg;
    struct proxy *p = pair->proxy;
    bool good = (pair->server = net_connect(atomic_load(&p->target))) >= 0;
    struct pollfd fds[] = {{.fd = pair->client, .events = POLLIN},
                           {.fd = pair->server, .events = POLLIN}};
    while (good && !atomic_load(&p->over) && atomic_load(&p->cuts) == pair->cuts) {
        if (poll(fds, 2, LOOK_EVERY_MS) <= 0)
            continue;
        if (fds[0].revents)
            good = carry(pair, false);
        if (good && fds[1].revents)
            good = carry(pair, true);
    }
    reset_on_close(pair->client);
    close(pair->client);
    if (pair->server >= 0)
        close(pair->server);
    return NULL;
}

static void add_pair(struct proxy *p, int client)
{
    struct pair *pair = xcalloc(1, sizeof *pair);
    int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    pair->proxy = p;
    pair->client = client;
    pair->cuts = atomic_load(&p->cuts);
    SLIST_INSERT_HEAD(&p->pairs, pair, link);
    MUST(pthread_create(&pair->thread, NULL, run_pair, pair) == 0);
}

static void *run(void *arg)
{
    struct proxy *p = arg;
    struct pollfd wait = {.fd = p->listen_fd, .events = POLLIN};
    while (!atomic_load(&p->over)) {
        int client = poll(&wait, 1, LOOK_EVERY_MS) > 0
                         ? accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC)
                         : -1;
        if (client >= 0)
            add_pair(p, client);
    }
    return NULL;
}

static void listen_at(struct proxy *p, const char *address, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t length = sizeof at;
    ck_assert_int_eq(inet_pton(AF_INET, address, &at.sin_addr), 1);
    p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(p->listen_fd, 0);
    ck_assert_int_eq(bind(p->listen_fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(p->listen_fd, BACKLOG), 0);
    ck_assert_int_eq(getsockname(p->listen_fd, (struct sockaddr *)&at, &length), 0);
    p->port = ntohs(at.sin_port);
}

struct proxy *proxy_new(int target)
{
    return proxy_new_at("127.0.0.1", 0, target);
}

struct proxy *proxy_new_at(const char *address, int port, int target)
{
    struct proxy *p = xcalloc(1, sizeof *p);
    atomic_store(&p->target, target);
    listen_at(p, address, port);
    MUST(pthread_mutex_init(&p->lock, NULL) == 0);
    MUST(pthread_create(&p->thread, NULL, run, p) == 0);
    return p;
}

void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    atomic_store(&p->over, true);
    pthread_join(p->thread, NULL);
    while (!SLIST_EMPTY(&p->pairs)) {
        struct pair *pair = SLIST_FIRST(&p->pairs);
        SLIST_REMOVE_HEAD(&p->pairs, link);
        pthread_join(pair->thread, NULL);
        free(pair);
    }
    close(p->listen_fd);
    pthread_mutex_destroy(&p->lock);
    free(p->last);
    free(p);
}

int proxy_port(const struct proxy *p)
{
    return p->port;
}

void proxy_order(struct proxy *p, struct proxy_order order)
{
    pthread_mutex_lock(&p->lock);
    p->order = order;
    p->carried = 0;
    pthread_mutex_unlock(&p->lock);
}

void proxy_point_to(struct proxy *p, int target)
{
    atomic_store(&p->target, target);
}

void proxy_cut_all(struct proxy *p)
{
    atomic_fetch_add(&p->cuts, 1);
}

unsigned proxy_faults(struct proxy *p)
{
    return atomic_load(&p->faults);
}

char *proxy_last_request(struct proxy *p, size_t *ret_length)
{
    char *copy = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->last) {
        copy = xmalloc(p->last_length);
        memcpy(copy, p->last, p->last_length);
        *ret_length = p->last_length;
    }
    pthread_mutex_unlock(&p->lock);
    return copy;
}
