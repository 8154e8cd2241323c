/* Responses kept from one answer to the next: a plain page costs no twenty allocations.
 *
 * DESIGN. A response of a given length, type and Vary differs from the one before it in its body
 * and its X-Request-Id alone. So it stays ours after it was sent: its body is a buffer of ours, and
 * both are written over. libmicrohttpd would have the field taken out and put in again, which costs
 * a third of all that an answer costs us; its copy of the value is found once and written to, with
 * an id of the same length, while nobody reads it. A response is with one request or in the list;
 * libmicrohttpd has no more use for it when it says that the request ended, apart from letting its
 * own reference go. The first of the list is taken; when it does not fit it is given up, so what
 * nobody asks for any more leaves the list by itself. */
#include "lib/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include "lib/mem.h"

enum { MOST_KEPT = 256, LONGEST_KEPT = 16384 };

struct http_kept {
    struct MHD_Response *response; /* reads the body below for as long as anybody refers to it */
    TAILQ_ENTRY(http_kept) link;   /* in http->kept, while no request has it */
    const char *content_type;      /* borrowed: a constant */
    char *id;                      /* the value of X-Request-Id, in libmicrohttpd's memory */
    size_t id_length, length;
    bool negotiated;
    char body[];
};

/* libmicrohttpd's own reference may be the last. */
static void on_response_freed(void *body)
{
    free((char *)body - offsetof(struct http_kept, body));
}

static struct http_kept *new_kept(struct http_request *req, const struct http_reply *reply)
{
    struct http_kept *kept = xmalloc(sizeof *kept + reply->length);
    *kept = (struct http_kept){.content_type = reply->content_type,
                               .length = reply->length,
                               .negotiated = req->route->negotiated};
    kept->response = MHD_create_response_from_buffer_with_free_callback(kept->length, kept->body,
                                                                        on_response_freed);
    MUST(kept->response != NULL);
    http_put_field(kept->response, "Content-Type", kept->content_type);
    http_put_constant_fields(req, kept->response);
    http_put_field(kept->response, "X-Request-Id", http_request_id(req));
    kept->id = (char *)MHD_get_response_header(kept->response, "X-Request-Id");
    kept->id_length = strlen(kept->id);
    return kept;
}

static bool fits(const struct http_kept *kept, struct http_request *req,
                 const struct http_reply *reply)
{
    return kept->length == reply->length && kept->id_length == strlen(http_request_id(req)) &&
           kept->negotiated == req->route->negotiated &&
           strcmp(kept->content_type, reply->content_type) == 0;
}

static struct http_kept *take_first(struct http *http)
{
    struct http_kept *kept = TAILQ_FIRST(&http->kept);
    if (kept == NULL)
        return NULL;
    TAILQ_REMOVE(&http->kept, kept, link);
    http->kept_count--;
    return kept;
}

static bool is_plain(const struct http_request *req, const struct http_reply *reply)
{
    return !req->http->draining && reply->content_type && !reply->field &&
           reply->retry_after_s == 0 && reply->length > 0 && reply->length <= LONGEST_KEPT;
}

struct MHD_Response *http_kept_response(struct http_request *req, const struct http_reply *reply)
{
    if (!is_plain(req, reply))
        return NULL;
    struct http_kept *kept = take_first(req->http);
    if (kept && !fits(kept, req, reply)) {
        MHD_destroy_response(kept->response);
        kept = NULL;
    }
    if (kept == NULL)
        kept = new_kept(req, reply);
    memcpy(kept->body, reply->body, reply->length);
    memcpy(kept->id, http_request_id(req), kept->id_length);
    req->kept = kept;
    return kept->response;
}

void http_kept_give_back(struct http_request *req)
{
    struct http *http = req->http;
    struct http_kept *kept = req->kept;
    req->kept = NULL;
    if (http->kept_count >= MOST_KEPT) {
        MHD_destroy_response(kept->response);
        return;
    }
    TAILQ_INSERT_HEAD(&http->kept, kept, link);
    http->kept_count++;
}

void http_kept_free(struct http *http)
{
    struct http_kept *kept;
    while ((kept = take_first(http)) != NULL)
        MHD_destroy_response(kept->response);
}
