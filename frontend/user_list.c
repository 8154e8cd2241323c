/* The users of one answer of the backend, written out once for every page that shows them. */
#include "frontend/user_list.h"

#include "lib/mem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>

/* HTML knows no control characters, not even escaped: they become U+FFFD, as browsers show NUL. */
static void put_html(struct buf *out, const char *text, size_t length)
{
    size_t plain = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= ' ' && c != 0x7F)
            continue;
        buf_put_html(out, text + plain, i - plain);
        buf_puts(out, "\xEF\xBF\xBD");
        plain = i + 1;
    }
    buf_put_html(out, text + plain, length - plain);
}

static void put_user(struct user_list *list, const char *name, size_t length)
{
    buf_puts(&list->html, "<p>");
    put_html(&list->html, name, length);
    buf_puts(&list->html, "</p>\n");
    buf_puts(&list->json, list->count > 0 ? ",{\"userName\":" : "{\"userName\":");
    buf_put_json(&list->json, name, length);
    buf_puts(&list->json, "}");
    list->count++;
}

static const char *put_item(struct user_list *list, const json_t *item)
{
    const json_t *name = json_object_get(item, "userName"); /* NULL for what is no object */
    if (!json_is_object(item))
        return "a user is not a JSON object";
    if (!json_is_string(name))
        return "a user has no userName that is text";
    if (json_string_length(name) > USER_LIST_MAX_NAME)
        return "a user's name is too long";
    put_user(list, json_string_value(name), json_string_length(name));
    return NULL;
}

static const char *put_items(struct user_list *list, const json_t *root)
{
    if (!json_is_array(root))
        return "the answer is not a JSON array";
    if (json_array_size(root) > USER_LIST_MAX_USERS)
        return "the answer holds too many users";
    for (size_t i = 0; i < json_array_size(root); i++) {
        const char *wrong = put_item(list, json_array_get(root, i));
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *fill(struct user_list *list, const json_t *root)
{
    buf_puts(&list->html, "<div class=\"list\">\n");
    buf_puts(&list->json, "[");
    const char *wrong = put_items(list, root);
    buf_puts(&list->html, "</div>\n");
    buf_puts(&list->json, "]");
    if (list->count == 0) {
        buf_clear(&list->html);
        buf_puts(&list->html, "<div class=\"note\">There are no users yet.</div>\n");
    }
    return wrong;
}

const char *user_list_parse(const char *body, size_t length, struct user_list **ret_list)
{
    if (length > USER_LIST_MAX_BYTES)
        return "the answer is too long";
    json_t *root = json_loadb(body, length, JSON_ALLOW_NUL, NULL);
    if (!root)
        return "the answer is not JSON";
    struct user_list *list = xcalloc(1, sizeof(*list));
    list->references = 1;
    const char *wrong = fill(list, root);
    json_decref(root);
    if (wrong) {
        user_list_unref(list);
        return wrong;
    }
    *ret_list = list;
    return NULL;
}

struct user_list *user_list_ref(struct user_list *list)
{
    list->references++;
    return list;
}

void user_list_unref(struct user_list *list)
{
    if (!list || --list->references > 0)
        return;
    buf_done(&list->html);
    buf_done(&list->json);
    free(list);
}
