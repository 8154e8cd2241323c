/* The header fields that decide an answer, each against a table of what clients and attackers
 * send. */
#include "lib/accept.h"
#include "tests/support/suite.h"
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct verdict {
    const char *text;
    bool yes;
};

static void assert_verdict(bool (*ask)(const char *), const struct verdict *v)
{
    ck_assert_msg(ask(v->text) == v->yes, "%s: expected %s", v->text ? v->text : "(none)",
                  v->yes ? "yes" : "no");
}

static const struct verdict accepts[] = {
    /* what clients send */
    {NULL, false},
    {"", false},
    {"*/*", false},
    {"application/json", true},
    {"text/html", false},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
     false},
    {"application/json, text/plain, */*", true},
    {"application/json;q=0.5, */*;q=0.5", true},
    {"application/*, */*", true},
    {"application/json;q=0, text/html;q=0", false},
    {"application/json,text/html", false},
    {"text/html;q=0.9, application/json", true},
    {"text/html, application/json;q=0.9", false},
    {"application/json; charset=utf-8", true},
    {"Application/JSON;Q=1.0", true},
    {"application/*", true},
    {"text/*", false},
    {"application/problem+json", false},
    {"image/png", false},
    /* the most specific range decides, in any order */
    {"*/*, application/json;q=0.5", false},
    {"*/*;q=0.1, application/json;q=0.5", true},
    {"application/*;q=0.2, application/json;q=0.9, text/*;q=0.5", true},
    {"application/json;q=0.2, application/*;q=0.9, text/*;q=0.5", false},
    {"text/html;q=0, */*", true},
    {"application/json;q=0", false},
    {"application/json;q=0, */*", false},
    {"application/json;q=0.001", true},
    {"application/json;q=0.501, text/html;q=0.500", true},
    {"application/json;q=0.5, text/html;q=0.5", false},
    {"text/html;q=0.1, application/json;q=0.1, application/json;q=0.2", true},
    /* white space and empty items */
    {" \t application/json \t ;\tq = 1 ", true},
    {",,,application/json,,", true},
    {";;;", false},
    {",", false},
    /* what is no quality, or another type, is passed over */
    {"application/json;q=", false},
    {"application/json;q=2", false},
    {"application/json;q=1.001", false},
    {"application/json;q=-1", false},
    {"application/json;q=+1", false},
    {"application/json;q=0.1234", false},
    {"application/json;q=.5", false},
    {"application/json;q=1.", true},
    {"application/json;q=1,5", true},
    {"application/json;q=0x1", false},
    {"application/json;q=0.0x", false},
    {"application/json;q=nan", false},
    {"application/json;q=\"1\"", false},
    {"application/json;version=2", false},
    {"text/html;level=1, application/json;q=0.1", true},
    {"application/jsonp", false},
    {"xapplication/json", false},
    {"application /json", false},
    {"application", false},
    {"*", false},
    {"*/json", false},
    /* a separator in a quoted string separates nothing */
    {"text/plain;a=\"x, application/json\"", false},
    {"text/plain;a=\"x\\\", application/json\"", false},
    {"text/plain;a=\"unended, application/json", false},
    {"text/plain;a=\"x\\", false},
    {"\xFF\xFE, application/json", true},
};

START_TEST(accept_tells_who_prefers_json)
{
    assert_verdict(accept_prefers_json, &accepts[_i]);
}
END_TEST

START_TEST(a_long_accept_is_read_to_its_end)
{
    char text[32 * 1024] = "";
    while (strlen(text) < sizeof(text) - 64)
        strcat(text, "a/b;q=0,");
    ck_assert(!accept_prefers_json(text));
    strcat(text, "application/json");
    ck_assert(accept_prefers_json(text));
}
END_TEST

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static const struct verdict traceparents[] = {
    {"00-" TRACE "-" SPAN "-01", true},
    {"00-" TRACE "-" SPAN "-00", true},
    {"00-" TRACE "-" SPAN "-ff", true},
    {NULL, false},
    {"", false},
    {"00", false},
    {"01-" TRACE "-" SPAN "-01", false},
    {"ff-" TRACE "-" SPAN "-01", false},
    {"00-" TRACE "-" SPAN, false},
    {"00-" TRACE "-" SPAN "-", false},
    {"00-" TRACE "-" SPAN "-1", false},
    {"00-" TRACE "-" SPAN "-001", false},
    {"00-" TRACE "-" SPAN "-01-extra", false},
    {"00-" TRACE "-" SPAN "-0g", false},
    {"00-" TRACE "-" SPAN "-01 ", false},
    {" 00-" TRACE "-" SPAN "-01", false},
    {"00_" TRACE "-" SPAN "-01", false},
    {"00-" TRACE "_" SPAN "-01", false},
    {"00-" TRACE "-" SPAN "_01", false},
    {"00-00000000000000000000000000000000-" SPAN "-01", false},
    {"00-" TRACE "-0000000000000000-01", false},
    {"00-00000000000000000000000000000001-0000000000000001-01", true},
    {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", false},
    {"00-" TRACE "-B7AD6B7169203331-01", false},
    {"00-0af7651916cd43dd8448eb211c80319\r-" SPAN "-01", false},
    {"00-0af7651916cd43dd8448eb211c80319\"-" SPAN "-01", false},
};

START_TEST(traceparent_is_taken_over_only_when_whole)
{
    assert_verdict(traceparent_is_valid, &traceparents[_i]);
}
END_TEST

#define SIXTEEN "abcdefghijklmnop"

static const struct verdict request_ids[] = {
    {"a", true},
    {"4bf92f35-77b3-4da6_A3CE.929d0e0e4736", true},
    {SIXTEEN SIXTEEN SIXTEEN SIXTEEN, true},
    {NULL, false},
    {"", false},
    {SIXTEEN SIXTEEN SIXTEEN SIXTEEN "q", false},
    {"two words", false},
    {"id\r\nSet-Cookie: a=b", false},
    {"id\n", false},
    {"<b>", false},
    {"\"", false},
    {"a/b", false},
    {"a:b", false},
    {"\xC3\xBC", false},
};

START_TEST(request_id_is_taken_over_only_when_plain)
{
    assert_verdict(request_id_is_valid, &request_ids[_i]);
}
END_TEST

static const struct verdict purposes[] = {
    {"prefetch", true},
    {"prerender", true},
    {"prefetch;prerender", true},
    {"prefetch; anonymous-client-ip", true},
    {"Prefetch", true},
    {" prefetch ", true},
    {"other, prefetch", true},
    {NULL, false},
    {"", false},
    {"navigate", false},
    {"prefetching", false},
    {"not-prefetch", false},
    {"\"prefetch\"", false},
    {"reason=\"a;prefetch\"", false},
    {",;,", false},
};

START_TEST(purpose_tells_of_a_prefetch)
{
    assert_verdict(purpose_is_prefetch, &purposes[_i]);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("accept");
    TCase *tcase = tcase_create("accept");
    tcase_add_loop_test(tcase, accept_tells_who_prefers_json, 0, COUNT(accepts));
    tcase_add_test(tcase, a_long_accept_is_read_to_its_end);
    tcase_add_loop_test(tcase, traceparent_is_taken_over_only_when_whole, 0, COUNT(traceparents));
    tcase_add_loop_test(tcase, request_id_is_taken_over_only_when_plain, 0, COUNT(request_ids));
    tcase_add_loop_test(tcase, purpose_tells_of_a_prefetch, 0, COUNT(purposes));
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
