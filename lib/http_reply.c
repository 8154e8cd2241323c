/* Responses: the header fields that every answer carries, HEAD, OPTIONS and errors. */
#include "lib/http_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/buf.h"
#include "lib/mem.h"

#define JSON_PROBLEM "application/problem+json"
#define HTML_PAGE "text/html; charset=utf-8"
#define ALLOWED_METHODS "GET, HEAD, OPTIONS"

void http_put_field(struct MHD_Response *response, const char *name, const char *value)
{
    MUST(MHD_add_response_header(response, name, value) == MHD_YES);
}

void http_put_constant_fields(const struct http_request *req, struct MHD_Response *response)
{
    http_put_field(response, "X-Content-Type-Options", "nosniff");
    http_put_field(response, "Content-Security-Policy", req->http->options.csp);
    http_put_field(response, "Cache-Control", "no-store");
    if (req->route && req->route->negotiated)
        http_put_field(response, "Vary", "Accept");
}

static void put_common_fields(struct http_request *req, struct MHD_Response *response)
{
    http_put_field(response, "X-Request-Id", http_request_id(req));
    http_put_constant_fields(req, response);
    if (req->http->draining)
        http_put_field(response, "Connection", "close");
}

/* Copies the body. */
static struct MHD_Response *new_response(const char *body, size_t length)
{
    struct MHD_Response *response =
        length > 0 ? MHD_create_response_from_buffer(length, (void *)body, MHD_RESPMEM_MUST_COPY)
                   : MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    MUST(response != NULL);
    return response;
}

static void answer(struct http_request *req, int status, struct MHD_Response *response)
{
    MUST(http_status_is_known(status));
    if (req->kept == NULL)
        put_common_fields(req, response);
    req->response = response;
    req->status = status;
    req->place = REQUEST_ANSWERED;
    req->http->run_wanted = true;
}

/* The handler's own answer ends the wait. */
static void end_wait(struct http_request *req)
{
    struct http *http = req->http;
    if (req->place == REQUEST_READ)
        return;
    MUST(req->place == REQUEST_ASKED || req->place == REQUEST_PARKED);
    http_adjust(&http->waiting, -1);
    if (req->place == REQUEST_ASKED)
        return;
    http->parked--;
    MHD_resume_connection(req->connection);
}

static struct MHD_Response *new_own_response(const struct http_reply *reply)
{
    char seconds[16];
    struct MHD_Response *response = new_response(reply->body, reply->length);
    if (reply->content_type)
        http_put_field(response, "Content-Type", reply->content_type);
    if (reply->field)
        http_put_field(response, reply->field, reply->value);
    if (reply->retry_after_s > 0) {
        snprintf(seconds, sizeof seconds, "%u", reply->retry_after_s);
        http_put_field(response, "Retry-After", seconds);
    }
    return response;
}

void http_reply(struct http_request *req, const struct http_reply *reply)
{
    struct MHD_Response *response = http_kept_response(req, reply);
    if (response == NULL)
        response = new_own_response(reply);
    req->degraded = reply->degraded;
    end_wait(req);
    answer(req, reply->status, response);
}

static void put_text(struct buf *out, const char *text)
{
    buf_put_html(out, text, strlen(text));
}

static void put_page(struct buf *out, struct http_request *req, const char *title,
                     const char *detail)
{
    buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<title>");
    put_text(out, title);
    buf_puts(out, "</title>\n");
    if (req->http->options.error_head)
        buf_puts(out, req->http->options.error_head);
    buf_puts(out, "</head>\n<body>\n<main>\n<section>\n<h1>");
    put_text(out, title);
    buf_puts(out, "</h1>\n<p>");
    put_text(out, detail);
    buf_puts(out, "</p>\n<p>Request: <code>");
    put_text(out, http_request_id(req));
    buf_puts(out, "</code></p>\n</section>\n</main>\n</body>\n</html>\n");
}

static void put_json_member(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, ",\"%s\":", name);
    buf_put_json(out, value, strlen(value));
}

static void put_problem(struct buf *out, struct http_request *req, int status, const char *detail)
{
    buf_puts(out, "{\"type\":\"about:blank\"");
    put_json_member(out, "title", MHD_get_reason_phrase_for((unsigned)status));
    buf_printf(out, ",\"status\":%d", status);
    put_json_member(out, "detail", detail);
    put_json_member(out, "request_id", http_request_id(req));
    buf_puts(out, "}\n");
}

static struct MHD_Response *new_error(struct http_request *req, int status, const char *detail)
{
    struct buf body = {0};
    bool json = http_wants_json(req);
    if (json) {
        put_problem(&body, req, status, detail);
    } else {
        char title[64];
        snprintf(title, sizeof title, "%d %s", status, MHD_get_reason_phrase_for((unsigned)status));
        put_page(&body, req, title, detail);
    }
    struct MHD_Response *response = new_response(body.data, body.length);
    buf_done(&body);
    http_put_field(response, "Content-Type", json ? JSON_PROBLEM : HTML_PAGE);
    if (status == 405)
        http_put_field(response, "Allow", ALLOWED_METHODS);
    if (status == 503)
        http_put_field(response, "Retry-After", "1");
    return response;
}

void http_reply_error(struct http_request *req, int status, const char *detail)
{
    struct MHD_Response *response = new_error(req, status, detail);
    end_wait(req);
    answer(req, status, response);
}

void http_reply_refusal(struct http_request *req, int status, const char *detail)
{
    struct MHD_Response *response = new_error(req, status, detail);
    if (!req->http->draining)
        http_put_field(response, "Connection", "close");
    answer(req, status, response);
}

static const char *head_content_type(struct http_request *req)
{
    if (!req->route->negotiated)
        return req->route->content_type;
    return http_wants_json(req) ? "application/json" : HTML_PAGE;
}

/* A body of size 0 would claim "Content-Length: 0". Before MHD_RF_HEAD_ONLY_RESPONSE (0.9.77.1) the
 * only answer without it is one of unknown length, here without chunks, after which libmicrohttpd
 * closes the connection. */
#if MHD_VERSION >= 0x00097701
static struct MHD_Response *new_head_response(void)
{
    struct MHD_Response *response = new_response(NULL, 0);
    MUST(MHD_set_response_options(response, MHD_RF_HEAD_ONLY_RESPONSE, MHD_RO_END) == MHD_YES);
    return response;
}
#else
static ssize_t on_body_wanted(void *cls, uint64_t position, char *out, size_t room)
{
    (void)cls;
    (void)position;
    (void)out;
    (void)room;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static struct MHD_Response *new_head_response(void)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, on_body_wanted, NULL, NULL);
    MUST(response != NULL);
    MUST(MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END) ==
         MHD_YES);
    return response;
}
#endif

void http_reply_head(struct http_request *req)
{
    struct MHD_Response *response = new_head_response();
    if (req->route->content_type)
        http_put_field(response, "Content-Type", head_content_type(req));
    answer(req, 200, response);
}

void http_reply_options(struct http_request *req)
{
    struct MHD_Response *response = new_response(NULL, 0);
    http_put_field(response, "Allow", ALLOWED_METHODS);
    answer(req, 204, response);
}
