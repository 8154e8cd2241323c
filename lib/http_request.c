/* A request's way: admitted or refused, asked of its handler, waited for, answered, ended.
 *
 * DESIGN. libmicrohttpd calls http_on_request once when the header fields are there and again when
 * the request is complete. An answer queued in the first call makes it close the connection
 * afterwards, which is what a request with an unwanted body deserves, and why all others are
 * answered in the second. A request whose answer is not ready returns from there without one, and
 * is called again at every run, until it has waited so long that it is parked: suspended, and
 * resumed by http_reply. The request object is ours from the first call to http_on_completed. */
#include "lib/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "lib/accept.h"
#include "lib/mem.h"

enum { URI_MARK = 1, URI_BLANK = 2 };

static const struct {
    const char *name;
    size_t length;
} field_names[FIELD_COUNT] = {
#define NAME(text) .name = text, .length = sizeof text - 1
    [FIELD_ACCEPT] = {NAME("Accept")},
    [FIELD_CONTENT_LENGTH] = {NAME("Content-Length")},
    [FIELD_HOST] = {NAME("Host")},
    [FIELD_PURPOSE] = {NAME("Purpose")},
    [FIELD_REQUEST_ID] = {NAME("X-Request-Id")},
    [FIELD_SEC_PURPOSE] = {NAME("Sec-Purpose")},
    [FIELD_TRACEPARENT] = {NAME("traceparent")},
    [FIELD_TRANSFER_ENCODING] = {NAME("Transfer-Encoding")},
    [FIELD_X_MOZ] = {NAME("X-Moz")},
#undef NAME
};

static enum MHD_Result on_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                size_t name_length, const char *value, size_t value_length)
{
    (void)kind;
    struct http_fields *fields = cls;
    fields->bytes += name_length + value_length;
    fields->odd_name |= strpbrk(name, " \t") != NULL;
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (field_names[i].length != name_length || strcasecmp(field_names[i].name, name) != 0)
            continue;
        if (fields->times[i] == 0)
            fields->value[i] = value ? value : "";
        fields->times[i] = fields->times[i] == 0 ? 1 : 2;
        break;
    }
    return MHD_YES;
}

static enum http_method method_of(const char *text)
{
    if (strcmp(text, "GET") == 0)
        return METHOD_GET;
    if (strcmp(text, "HEAD") == 0)
        return METHOD_HEAD;
    return strcmp(text, "OPTIONS") == 0 ? METHOD_OPTIONS : METHOD_OTHER;
}

static const struct http_route *find_route(const struct http *http, const char *path)
{
    for (const struct http_route *route = http->options.routes; route->path; route++)
        if (strcmp(route->path, path) == 0)
            return route;
    return NULL;
}

static void put_hex(char *out, uint64_t number)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++)
        out[i] = digits[(number >> (60 - 4 * i)) & 15];
}

static struct http_request *take_request(struct http *http)
{
    struct http_request *req = TAILQ_FIRST(&http->free);
    if (req == NULL)
        req = xmalloc(http->request_size);
    else
        TAILQ_REMOVE(&http->free, req, link);
    memset(req, 0, sizeof *req);
    TAILQ_INSERT_TAIL(&http->requests, req, link);
    req->http = http;
    req->arrived_ns = uv_hrtime();
    http->spoke_ms = http->now_ms;
    return req;
}

static bool has_body(const struct http_request *req)
{
    const char *length = req->fields.value[FIELD_CONTENT_LENGTH];
    return req->fields.times[FIELD_TRANSFER_ENCODING] > 0 ||
           (length && length[strspn(length, "0")] != '\0');
}

/* What 0.9.75 lets through although RFC 9112 calls it malformed: requests that another server may
 * read differently. */
static const char *find_malformed(const struct http_request *req, const char *version, bool blank)
{
    const struct http_fields *fields = &req->fields;
    if (fields->odd_name)
        return "A field's name contains white space.";
    if (fields->times[FIELD_CONTENT_LENGTH] > 0 && fields->times[FIELD_TRANSFER_ENCODING] > 0)
        return "Content-Length and Transfer-Encoding exclude each other.";
    if (fields->times[FIELD_CONTENT_LENGTH] > 1)
        return "Content-Length is given more than once.";
    if (fields->times[FIELD_TRANSFER_ENCODING] > 1)
        return "Transfer-Encoding is given more than once.";
    if (blank)
        return "The address holds a blank or a control character.";
    if (fields->times[FIELD_HOST] > 1)
        return "Host is given more than once.";
    if (fields->times[FIELD_HOST] == 0 && strcmp(version, MHD_HTTP_VERSION_1_1) == 0)
        return "HTTP/1.1 requires the field Host.";
    return NULL;
}

static void refuse_over(struct http_request *req, enum http_limit limit, int status,
                        const char *detail)
{
    http_count_limit(req->http, limit);
    http_reply_refusal(req, status, detail);
}

/* Answers at once what no handler needs to see; leaves the others alone. */
static void screen(struct http_request *req, const char *version, uintptr_t uri_note)
{
    const char *malformed = find_malformed(req, version, uri_note & URI_BLANK);
    if (malformed)
        http_reply_refusal(req, 400, malformed);
    else if (uri_note >> 2 > URI_LIMIT)
        refuse_over(req, LIMIT_URI_BYTES, 414, "The address is longer than 2048 bytes.");
    else if (req->fields.bytes > HEADER_LIMIT)
        refuse_over(req, LIMIT_HEADER_BYTES, 431, "The header fields are longer than 8192 bytes.");
    else if (req->route == NULL && !(req->method == METHOD_OPTIONS && strcmp(req->path, "*") == 0))
        http_reply_error(req, 404, "There is nothing at this address.");
    else if (req->method == METHOD_OTHER)
        http_reply_error(req, 405, "This address can only be read: GET, HEAD or OPTIONS.");
    else if (has_body(req))
        refuse_over(req, LIMIT_BODY_BYTES, 413, "This address takes no request body.");
}

/* One that is kept stays with the request until it has been sent. */
static void release_response(struct http_request *req)
{
    if (req->response && !req->kept)
        MHD_destroy_response(req->response);
    req->response = NULL;
}

static enum MHD_Result queue(struct http_request *req)
{
    MUST(req->place == REQUEST_ANSWERED);
    enum MHD_Result queued =
        MHD_queue_response(req->connection, (unsigned)req->status, req->response);
    release_response(req);
    req->place = REQUEST_QUEUED;
    req->http->run_wanted = true;
    return queued;
}

static void ask(struct http_request *req)
{
    struct http *http = req->http;
    if (req->method == METHOD_OPTIONS) {
        http_reply_options(req);
        return;
    }
    if (req->method == METHOD_HEAD) {
        http_reply_head(req);
        return;
    }
    memset(req->state, 0, req->route->state_size);
    req->place = REQUEST_ASKED;
    req->asked_ms = http->now_ms;
    http_adjust(&http->waiting, 1);
    req->route->on_get(req, http->options.context);
}

static void park(struct http_request *req)
{
    MHD_suspend_connection(req->connection);
    req->place = REQUEST_PARKED;
    req->http->parked++;
}

/* The request is complete. Called again and again while its answer is awaited. */
static enum MHD_Result proceed(struct http_request *req)
{
    struct http *http = req->http;
    if (req->place == REQUEST_READ)
        ask(req);
    if (req->place == REQUEST_ANSWERED)
        return queue(req);
    if (req->place == REQUEST_GONE)
        return MHD_NO;
    MUST(req->place == REQUEST_ASKED);
    if (http->now_ms - req->asked_ms >= http->options.park_after_ms)
        park(req);
    return MHD_YES;
}

static bool has_blank(const char *uri)
{
    for (const unsigned char *c = (const unsigned char *)uri; *c; c++)
        if (*c <= ' ' || *c == 0x7f)
            return true;
    return false;
}

/* Until the request object exists, libmicrohttpd's pointer holds what is to be known of the
 * address, marked by its lowest bit: a request that never gets complete costs no object. */
void *http_on_uri(void *http, const char *uri, struct MHD_Connection *connection)
{
    (void)http;
    (void)connection;
    return (void *)(uintptr_t)(strlen(uri) << 2 | (has_blank(uri) ? URI_BLANK : 0) | URI_MARK);
}

static bool is_uri_note(const void *context)
{
    return (uintptr_t)context & URI_MARK;
}

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *connection, const char *path,
                                const char *method, const char *version, const char *upload_data,
                                size_t *upload_size, void **context)
{
    (void)upload_data;
    (void)upload_size;
    if (!is_uri_note(*context))
        return proceed(*context);

    uintptr_t uri_note = (uintptr_t)*context;
    struct http_request *req = take_request(cls);
    *context = req;
    req->connection = connection;
    req->method_text = method;
    req->path = path;
    req->method = method_of(method);
    req->route = find_route(cls, path);
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_field, &req->fields);
    screen(req, version, uri_note);
    return req->place == REQUEST_ANSWERED && has_body(req) ? queue(req) : MHD_YES;
}

void http_request_vanish(struct http_request *req)
{
    struct http *http = req->http;
    if (req->place != REQUEST_ASKED && req->place != REQUEST_PARKED)
        return;
    if (req->place == REQUEST_PARKED) {
        MHD_resume_connection(req->connection);
        http->parked--;
    }
    http_adjust(&http->waiting, -1);
    req->place = REQUEST_GONE;
    req->status = 499;
    if (req->route->on_gone)
        req->route->on_gone(req, http->options.context);
}

static void tell_outcome(struct http_request *req, uint64_t duration_ns)
{
    struct http *http = req->http;
    if (http->options.on_done == NULL)
        return;
    struct http_outcome outcome = {
        .request = req,
        .method = req->method_text,
        .path = req->path,
        .degraded = req->degraded,
        .status = req->status,
        .duration_ns = duration_ns,
    };
    http->options.on_done(&outcome, http->options.context);
}

void http_on_completed(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code)
{
    (void)connection;
    (void)code;
    struct http *http = cls;
    struct http_request *req = *context;
    *context = NULL;
    if (req == NULL || is_uri_note(req))
        return;
    http_request_vanish(req);
    release_response(req);
    if (req->kept)
        http_kept_give_back(req);
    uint64_t duration_ns = uv_hrtime() - req->arrived_ns;
    http_metrics_observe(http, req, duration_ns);
    tell_outcome(req, duration_ns);
    TAILQ_REMOVE(&http->requests, req, link);
    TAILQ_INSERT_HEAD(&http->free, req, link);
    http->run_wanted = true;
    http->spoke_ms = http->now_ms;
}

void *http_state(struct http_request *req)
{
    return req->state;
}

struct http_request *http_request_of(void *state)
{
    return CONTAINER_OF(state, struct http_request, state);
}

const char *http_header(struct http_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, name);
}

struct flag_search {
    const char *name;
    bool found;
};

static enum MHD_Result on_argument(void *cls, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    (void)value;
    struct flag_search *search = cls;
    search->found = strcmp(name, search->name) == 0;
    return search->found ? MHD_NO : MHD_YES;
}

bool http_has_query_flag(struct http_request *req, const char *name)
{
    struct flag_search search = {.name = name};
    MHD_get_connection_values(req->connection, MHD_GET_ARGUMENT_KIND, on_argument, &search);
    return search.found;
}

bool http_wants_json(struct http_request *req)
{
    return accept_prefers_json(req->fields.value[FIELD_ACCEPT]);
}

bool http_is_prefetch(struct http_request *req)
{
    static const enum http_field fields[] = {FIELD_SEC_PURPOSE, FIELD_PURPOSE, FIELD_X_MOZ};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *value = req->fields.value[fields[i]];
        if (value && purpose_is_prefetch(value))
            return true;
    }
    return false;
}

const char *http_request_id(struct http_request *req)
{
    const char *given = req->fields.value[FIELD_REQUEST_ID];
    if (req->request_id)
        return req->request_id;
    if (given && request_id_is_valid(given))
        return req->request_id = given;
    put_hex(req->id, http_random(req->http));
    return req->request_id = req->id;
}

const char *http_traceparent(struct http_request *req)
{
    const char *given = req->fields.value[FIELD_TRACEPARENT];
    if (given && traceparent_is_valid(given))
        return given;
    if (req->traceparent[0] == '\0') {
        memcpy(req->traceparent, "00-", 3);
        put_hex(req->traceparent + 3, http_random(req->http) | 1);
        put_hex(req->traceparent + 19, http_random(req->http));
        req->traceparent[35] = '-';
        put_hex(req->traceparent + 36, http_random(req->http) | 1);
        memcpy(req->traceparent + 52, "-01", 4);
    }
    return req->traceparent;
}
