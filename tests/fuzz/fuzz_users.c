/* Fuzzes the JSON that a backend answers: whatever is taken makes sound HTML and sound JSON. */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <stdlib.h>
#include "frontend/user_list.h"
#include "lib/must.h"
#include "tests/support/html.h"

static void check_json(const struct user_list *list)
{
    json_error_t error;
    json_t *json = json_loadb(list->json.data, list->json.length, JSON_ALLOW_NUL, &error);
    MUST(json_is_array(json) && json_array_size(json) == list->count);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct user_list *list = NULL;
    char *text = fuzz_text(data, size);
    const char *wrong = user_list_parse(text, size, &list);
    MUST((wrong == NULL) == (list != NULL));
    if (list) {
        MUST(list->references == 1 && list->count <= USER_LIST_MAX_USERS);
        MUST(html_check(list->html.data, list->html.length) == NULL);
        check_json(list);
    }
    user_list_unref(list);
    free(text);
    return 0;
}
