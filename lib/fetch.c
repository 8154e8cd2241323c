/* HTTP GET on the loop, one URL, keep-alive: libcurl's multi interface on libuv. */
#include "lib/fetch.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* DESIGN. curl says which sockets and which timer it waits for; each socket gets a poll handle, and
 * every event goes back into curl_multi_socket_action. Whether the GET is done is asked only after
 * such a call made from the loop, so on_done never runs inside fetch_get. */
struct fetch {
    struct fetch_options options; /* its url is not read again */
    CURLM *multi;
    CURL *easy; /* reused; keeps nothing between two GETs but its connection */
    CURLU *url; /* parsed once; read by each GET */
    uv_timer_t timer;
    struct curl_slist *fields; /* of the GET in flight */
    struct buf body;
    char error[CURL_ERROR_SIZE];
    fetch_on_done on_done; /* NULL: no GET in flight */
    void *arg;
    unsigned handles; /* open or closing; the last one to close frees */
    bool too_long;    /* the body grew beyond max_body */
    bool freed;
};

/* One of curl's sockets. */
struct watched {
    uv_poll_t poll;
    struct fetch *fetch;
    curl_socket_t socket;
};

static void free_when_closed(struct fetch *f)
{
    if (--f->handles > 0)
        return;
    buf_done(&f->body);
    free(f);
}

/* ---- the end of a GET ---- */

static int error_of(const struct fetch *f, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return UV_ETIMEDOUT;
    case CURLE_COULDNT_CONNECT:
        return UV_ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return UV_EAI_FAIL;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return UV_ECONNRESET;
    case CURLE_FILESIZE_EXCEEDED:
        return UV_E2BIG;
    case CURLE_WRITE_ERROR:
        return f->too_long ? UV_E2BIG : UV_EPROTO;
    default:
        return UV_EPROTO;
    }
}

/* Takes the GET out of curl and tells its owner, who may start the next or free `f`. */
static void finish(struct fetch *f, int status, const char *reason)
{
    fetch_on_done on_done = f->on_done;
    struct buf body = f->body;
    f->body = (struct buf){0};
    f->on_done = NULL;
    curl_multi_remove_handle(f->multi, f->easy);
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(f->fields);
    f->fields = NULL;
    if (status == 0)
        on_done(f->arg, 0, body.data ? body.data : "", body.length, "");
    else
        on_done(f->arg, status, NULL, 0, reason);
    buf_done(&body);
}

static void finish_by_code(struct fetch *f, CURLcode code)
{
    char reason[CURL_ERROR_SIZE];
    long http_status = 0;
    int status = error_of(f, code);
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &http_status);
    snprintf(reason, sizeof reason, "%s", f->error[0] ? f->error : curl_easy_strerror(code));
    if (status == UV_E2BIG) {
        snprintf(reason, sizeof reason, "the body is longer than %zu bytes", f->options.max_body);
    } else if (status == 0 && http_status != 200) {
        status = UV_EPROTO;
        snprintf(reason, sizeof reason, "HTTP status %ld", http_status);
    }
    finish(f, status, reason);
}

static void act(struct fetch *f, curl_socket_t socket, int events)
{
    int running = 0, left = 0;
    MUST(curl_multi_socket_action(f->multi, socket, events, &running) == CURLM_OK);
    CURLMsg *message = curl_multi_info_read(f->multi, &left);
    if (message && message->msg == CURLMSG_DONE)
        finish_by_code(f, message->data.result);
}

/* ---- what curl waits for ---- */

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct fetch *f = context;
    if (f->freed)
        return 0;
    if (timeout_ms < 0)
        uv_timer_stop(&f->timer);
    else
        uv_timer_start(&f->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watched *w = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    act(w->fetch, w->socket, flags);
}

static struct watched *watch(struct fetch *f, curl_socket_t socket)
{
    struct watched *w = xcalloc(1, sizeof *w);
    *w = (struct watched){.fetch = f, .socket = socket};
    MUST(uv_poll_init_socket(f->options.loop, &w->poll, socket) == 0);
    w->poll.data = w;
    f->handles++;
    curl_multi_assign(f->multi, socket, w);
    return w;
}

static void on_watched_closed(uv_handle_t *handle)
{
    struct watched *w = handle->data;
    free_when_closed(w->fetch);
    free(w);
}

static int on_curl_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *assigned)
{
    (void)easy;
    struct fetch *f = context;
    struct watched *w = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(f->multi, socket, NULL);
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, on_watched_closed);
        }
        return 0;
    }
    if (!w)
        w = watch(f, socket);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    MUST(uv_poll_start(&w->poll, events, on_poll) == 0);
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct fetch *f = context;
    size_t length = size * count;
    if (length > f->options.max_body - f->body.length) {
        f->too_long = true;
        return 0;
    }
    buf_append(&f->body, data, length);
    return length;
}

/* ---- the contract ---- */

void fetch_library_init(void)
{
    MUST(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

void fetch_library_done(void)
{
    curl_global_cleanup();
}

static void set_up_easy(struct fetch *f)
{
    CURL *easy = f->easy;
    curl_easy_setopt(easy, CURLOPT_CURLU, f->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"); /* never what http_proxy says */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* By itself curl would ask at an address for a minute that nobody has any more. */
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "tally");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)f->options.timeout_ms);
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)f->options.max_body);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, f->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, f);
}

static bool is_http(CURLU *url)
{
    char *scheme = NULL;
    bool good = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    return good;
}

/* NULL: it is no URL of http or https. */
static CURLU *parse_url(const char *text)
{
    CURLU *url = curl_url();
    MUST(url); /* out of memory */
    if (curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK && is_http(url))
        return url;
    curl_url_cleanup(url);
    return NULL;
}

int fetch_new(const struct fetch_options *options, struct fetch **ret_fetch)
{
    CURLU *url = parse_url(options->url);
    if (!url)
        return UV_EINVAL;
    struct fetch *f = xcalloc(1, sizeof *f);
    f->options = *options;
    f->url = url;
    f->multi = curl_multi_init();
    f->easy = curl_easy_init();
    MUST(f->multi && f->easy); /* out of memory */
    MUST(uv_timer_init(options->loop, &f->timer) == 0);
    f->timer.data = f;
    f->handles = 1;
    set_up_easy(f);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    *ret_fetch = f;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free_when_closed(handle->data);
}

void fetch_free(struct fetch *f)
{
    if (!f)
        return;
    MUST(!f->freed);
    f->freed = true;
    if (f->on_done)
        finish(f, UV_ECANCELED, "cancelled");
    curl_easy_cleanup(f->easy);
    curl_url_cleanup(f->url);
    curl_multi_cleanup(f->multi);
    uv_close((uv_handle_t *)&f->timer, on_timer_closed);
}

static void add_field(struct fetch *f, const char *name, const char *value)
{
    if (!value)
        return;
    char *line = xasprintf("%s: %s", name, value);
    f->fields = curl_slist_append(f->fields, line);
    MUST(f->fields); /* out of memory */
    free(line);
}

int fetch_get(struct fetch *f, const char *request_id, const char *traceparent,
              fetch_on_done on_done, void *arg)
{
    int running = 0;
    if (f->freed)
        return UV_ECANCELED;
    if (f->on_done)
        return UV_EBUSY;
    f->on_done = on_done;
    f->arg = arg;
    f->too_long = false;
    f->error[0] = '\0';
    add_field(f, "Accept", "application/json");
    add_field(f, "X-Request-Id", request_id);
    add_field(f, "traceparent", traceparent);
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->fields);
    MUST(curl_multi_add_handle(f->multi, f->easy) == CURLM_OK);
    /* Sends at once; what ended already is told by the timer. */
    MUST(curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running) == CURLM_OK);
    if (running == 0)
        uv_timer_start(&f->timer, on_timer, 0, 0);
    return 0;
}
