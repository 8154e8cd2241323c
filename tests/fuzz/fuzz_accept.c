/* Fuzzes the parsers of request header fields: Accept, traceparent, X-Request-Id, Sec-Purpose. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include "lib/accept.h"
#include "lib/must.h"

static void check_traceparent(const char *text)
{
    if (!traceparent_is_valid(text))
        return;
    MUST(strlen(text) == 55);
    MUST(strspn(text, "0123456789abcdef-") == 55);
}

/* What is valid goes into logs and headers as it is. */
static void check_request_id(const char *text)
{
    if (!request_id_is_valid(text))
        return;
    size_t length = strlen(text);
    MUST(length >= 1 && length <= 64);
    for (size_t i = 0; i < length; i++)
        MUST(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", text[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    bool json = accept_prefers_json(text);
    MUST(!json || strchr(text, '/') != NULL);
    (void)purpose_is_prefetch(text);
    check_traceparent(text);
    check_request_id(text);
    free(text);
    return 0;
}
