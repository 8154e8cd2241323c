/* Clients with bad manners, in a thread of their own: slow ones, and ones that vanish. */
#include "tests/support/crowd.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/mem.h"
#include "lib/must.h"
#include "tests/support/ask.h"
#include "tests/support/net.h"

enum { TICK_MS = 20, VANISH_EVERY = 10, ROOM = 8192, PATIENCE_MS = 10000 };

#define REQUEST "GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"

static const char kept_alive[] = REQUEST "\r\n";
static const char request[] = REQUEST "Connection: close\r\n\r\n";

struct slow {
    int fd; /* -1: not connected */
    int port;
    size_t sent, got;
    unsigned long long since_ms;
    char text[ROOM];
};

struct crowd {
    struct crowd_options options;
    pthread_t thread;
    atomic_bool over;
    struct slow *slow;
    struct load_result result;
    size_t room;
};

bool crowd_vanish(int port, unsigned random)
{
    const struct linger at_once = {.l_onoff = 1};
    size_t whole = sizeof kept_alive - 1;
    int fd = net_connect(port);
    if (fd < 0)
        return false;
    (void)send(fd, kept_alive, random % 3 ? whole : random / 3 % whole,
               MSG_NOSIGNAL | MSG_DONTWAIT);
    if (random & 0x10000)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    return true;
}

static void end(struct crowd *crowd, struct slow *s, enum load_end how)
{
    struct load_result *r = &crowd->result;
    unsigned long long now = now_ms();
    if (r->count == crowd->room)
        r->records = xrealloc(r->records, (crowd->room += 1024) * sizeof *r->records);
    struct load_record *one = &r->records[r->count++];
    *one = (struct load_record){.end = (uint8_t)how,
                                .kind = crowd->options.kind,
                                .at_ms = (uint32_t)(now - crowd->options.zero_ms),
                                .took_us = (uint32_t)(now - s->since_ms) * 1000};
    if (how == LOAD_ANSWERED) {
        one->status = (uint16_t)strtoul(s->text + strlen("HTTP/1.1 "), NULL, 10);
        one->number = one->status == 200 ? number_in(s->text) : 0;
        one->users = one->number && !strstr(s->text, "\"users\":null");
    }
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void begin(struct crowd *crowd, struct slow *s)
{
    s->since_ms = now_ms();
    s->sent = s->got = 0;
    s->fd = net_connect(s->port);
    if (s->fd < 0)
        end(crowd, s, LOAD_REFUSED);
}

/* The answer is whole when the service hangs up: it was asked to. */
static void listen_on(struct crowd *crowd, struct slow *s)
{
    ssize_t n = recv(s->fd, s->text + s->got, ROOM - 1 - s->got, MSG_DONTWAIT);
    if (n > 0)
        s->got += (size_t)n;
    s->text[s->got] = '\0';
    if (n == 0 && strstr(s->text, "\r\n\r\n"))
        end(crowd, s, LOAD_ANSWERED);
    else if (n == 0 || (n < 0 && errno != EAGAIN))
        end(crowd, s, s->got ? LOAD_RESET_MIDDLE : LOAD_RESET_FRESH);
    else if (now_ms() - s->since_ms > PATIENCE_MS)
        end(crowd, s, LOAD_TIMED_OUT);
}

static void step(struct crowd *crowd, struct slow *s)
{
    if (s->fd < 0)
        begin(crowd, s);
    if (s->fd < 0)
        return;
    if (request[s->sent] && send(s->fd, request + s->sent, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
        s->sent++;
    listen_on(crowd, s);
}

static void *run(void *arg)
{
    struct crowd *crowd = arg;
    unsigned random = crowd->options.random;
    for (unsigned tick = 0; !atomic_load(&crowd->over); tick++) {
        for (unsigned i = 0; i < crowd->options.slow; i++)
            step(crowd, &crowd->slow[i]);
        if (tick % VANISH_EVERY == 0)
            crowd_vanish(crowd->options.port[tick / VANISH_EVERY % 2], (unsigned)rand_r(&random));
        pause_ms(TICK_MS);
    }
    return NULL;
}

struct crowd *crowd_start(const struct crowd_options *options)
{
    struct crowd *crowd = xcalloc(1, sizeof *crowd);
    crowd->options = *options;
    crowd->slow = xcalloc(options->slow, sizeof *crowd->slow);
    for (unsigned i = 0; i < options->slow; i++) {
        crowd->slow[i].fd = -1;
        crowd->slow[i].port = options->port[i % 2];
    }
    MUST(pthread_create(&crowd->thread, NULL, run, crowd) == 0);
    return crowd;
}

struct load_result crowd_stop(struct crowd *crowd)
{
    atomic_store(&crowd->over, true);
    pthread_join(crowd->thread, NULL);
    for (unsigned i = 0; i < crowd->options.slow; i++)
        if (crowd->slow[i].fd >= 0)
            close(crowd->slow[i].fd);
    struct load_result r = crowd->result;
    load_sum_up(&r);
    free(crowd->slow);
    free(crowd);
    return r;
}
