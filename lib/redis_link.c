/* One connection to a Redis server: hiredis on libuv. */
#include "lib/redis_link.h"
#include "lib/mem.h"
#include "lib/redis.h"
#include "lib/redis_tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What nobody read yet of answers; ours have less than a hundred bytes. */
enum { UNREAD_MAX = 64 * 1024, ITEMS_MAX = 8 };

struct redis_link {
    struct redis_link_options options;
    uv_poll_t poll;
    redisContext *hiredis; /* NULL: freed, the poll handle is closing */
    size_t unanswered;
    int watched; /* the events that the poll handle waits for; 0: stopped */
    bool open;
};

static void on_poll(uv_poll_t *poll, int status, int events);

/* libuv takes the descriptor out of epoll and puts it in again: only where something changes. */
static void watch(struct redis_link *link, int events)
{
    if (link->watched != events)
        MUST(uv_poll_start(&link->poll, events, on_poll) == 0);
    link->watched = events;
}

/* Writes as much as the socket takes and waits for what comes next. A failure is left to on_poll,
 * which a wait for writing is sure to call. */
static void flush(struct redis_link *link)
{
    int done = 0, error = redisBufferWrite(link->hiredis, &done);
    bool blocked = link->options.ssl && redis_tls_wants_read(link->options.ssl);
    bool more = error != REDIS_OK || (!done && !blocked);
    watch(link, UV_READABLE | (more ? UV_WRITABLE : 0));
}

static void end(struct redis_link *link, int status, const char *reason)
{
    uv_poll_stop(&link->poll);
    link->watched = 0;
    link->options.on_end(link->options.context, status, reason);
}

/* hiredis found an error: its words, or better ones from TLS. */
static void end_by_hiredis(struct redis_link *link)
{
    const redisContext *c = link->hiredis;
    bool protocol = c->err == REDIS_ERR_PROTOCOL || c->err == REDIS_ERR_OOM;
    const char *tls = link->options.ssl ? redis_tls_failure(link->options.ssl) : NULL;
    char reason[sizeof c->errstr];
    snprintf(reason, sizeof reason, "%s", tls ? tls : c->errstr);
    end(link, protocol || tls ? UV_EPROTO : UV_ECONNRESET, reason);
}

/* false: of a kind that no command of ours can be answered with. */
static bool convert(const redisReply *reply, struct redis_value *ret_value)
{
    static const enum redis_kind KINDS[] = {
        [REDIS_REPLY_NIL] = REDIS_NIL,     [REDIS_REPLY_INTEGER] = REDIS_INTEGER,
        [REDIS_REPLY_STRING] = REDIS_TEXT, [REDIS_REPLY_STATUS] = REDIS_TEXT,
        [REDIS_REPLY_ERROR] = REDIS_ERROR, [REDIS_REPLY_ARRAY] = REDIS_ARRAY,
    };
    if (reply->type < REDIS_REPLY_STRING || reply->type > REDIS_REPLY_ERROR)
        return false;
    *ret_value = (struct redis_value){.kind = KINDS[reply->type]};
    if (reply->type == REDIS_REPLY_INTEGER)
        ret_value->integer = reply->integer;
    if (ret_value->kind == REDIS_TEXT || ret_value->kind == REDIS_ERROR) {
        ret_value->text = reply->str;
        ret_value->length = reply->len;
    }
    return true;
}

static bool convert_items(const redisReply *reply, struct redis_value *items, size_t *ret_count)
{
    size_t count = reply->elements < ITEMS_MAX ? reply->elements : ITEMS_MAX;
    for (size_t i = 0; i < count; i++) {
        if (!convert(reply->element[i], &items[i]))
            return false;
        if (items[i].kind == REDIS_ARRAY)
            items[i].kind = REDIS_NIL;
    }
    *ret_count = count;
    return true;
}

/* The callback may free the link. */
static void hand_over(struct redis_link *link, const redisReply *reply)
{
    struct redis_value items[ITEMS_MAX], value;
    size_t count = 0;
    bool good = convert(reply, &value);
    if (good && value.kind == REDIS_ARRAY)
        good = convert_items(reply, items, &count);
    if (!good) {
        end(link, UV_EPROTO, "the server sent a type of reply that was not asked for");
        return;
    }
    if (link->unanswered == 0) {
        end(link, value.kind == REDIS_ERROR ? UV_ECONNRESET : UV_EPROTO,
            value.kind == REDIS_ERROR ? value.text : "the server sent a reply to no command");
        return;
    }
    value.items = count ? items : NULL;
    value.count = count;
    link->unanswered--;
    link->options.on_reply(link->options.context, &value);
}

static void read_replies(struct redis_link *link)
{
    void *reply = NULL;
    while (link->hiredis && link->watched) {
        if (redisGetReplyFromReader(link->hiredis, &reply) != REDIS_OK) {
            end_by_hiredis(link);
            return;
        }
        if (!reply)
            break;
        hand_over(link, reply);
        freeReplyObject(reply);
    }
    if (link->hiredis && link->hiredis->reader->len > UNREAD_MAX)
        end(link, UV_EPROTO, "the server's reply is too long");
}

static void transfer(struct redis_link *link)
{
    /* Reads first: what the server said before it hung up is worth more than a failed write. */
    if (redisBufferRead(link->hiredis) != REDIS_OK) {
        end_by_hiredis(link);
        return;
    }
    read_replies(link);
    if (link->hiredis && link->watched)
        flush(link);
}

static int socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    return -error;
}

static void connected(struct redis_link *link, int error)
{
    if (error) {
        end(link, error, uv_strerror(error));
        return;
    }
    if (link->options.ssl && redis_tls_start(link->options.ssl, link->hiredis) != 0) {
        const char *why = redis_tls_failure(link->options.ssl);
        end(link, UV_EPROTO, why ? why : "TLS could not be started");
        return;
    }
    link->open = true;
    watch(link, UV_READABLE);
    link->options.on_open(link->options.context);
}

/* On POLLERR libuv stops the handle and tells UV_EBADF; the socket knows the true error. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct redis_link *link = poll->data;
    int error = status < 0 ? socket_error(link->hiredis->fd) : 0;
    if (status < 0 && !error)
        error = status;
    if (!link->open)
        connected(link, error ? error : socket_error(link->hiredis->fd));
    else if (error)
        end(link, UV_ECONNRESET, uv_strerror(error));
    else
        transfer(link);
}

static redisContext *connect_to(const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN];
    const struct sockaddr_in6 *six = (const void *)address;
    const struct sockaddr_in *four = (const void *)address;
    bool is_six = address->sa_family == AF_INET6;
    MUST(inet_ntop(address->sa_family, is_six ? (const void *)&six->sin6_addr : &four->sin_addr,
                   text, sizeof text));
    redisContext *c = redisConnectNonBlock(text, ntohs(is_six ? six->sin6_port : four->sin_port));
    MUST(c); /* out of memory */
    return c;
}

int redis_link_new(const struct redis_link_options *options, struct redis_link **ret_link)
{
    redisContext *hiredis = connect_to(options->address);
    int error =
        hiredis->err ? (hiredis->err == REDIS_ERR_IO && errno ? -errno : UV_ECONNREFUSED) : 0;
    struct redis_link *link = xcalloc(1, sizeof *link);
    if (!error)
        error = uv_poll_init_socket(options->loop, &link->poll, hiredis->fd);
    if (error) {
        redisFree(hiredis);
        redis_tls_discard(options->ssl);
        free(link);
        return error;
    }
    link->options = *options;
    link->hiredis = hiredis;
    link->poll.data = link;
    watch(link, UV_WRITABLE);
    *ret_link = link;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void redis_link_free(struct redis_link *link)
{
    if (!link)
        return;
    uv_close((uv_handle_t *)&link->poll, on_closed);
    if (!link->open) /* else hiredis frees it with the context */
        redis_tls_discard(link->options.ssl);
    redisFree(link->hiredis);
    link->hiredis = NULL;
    link->watched = 0;
}

void redis_link_send(struct redis_link *link, size_t argc, const char *const *argv,
                     const size_t *lengths)
{
    MUST(link->open);
    MUST(redisAppendCommandArgv(link->hiredis, (int)argc, (const char **)argv, lengths) ==
         REDIS_OK); /* out of memory */
    link->unanswered++;
    flush(link);
}
