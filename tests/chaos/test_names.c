/* The names of Redis and the backend lead to another address while the frontend runs. */
#include "tests/support/chaos.h"
#include "tests/support/preload.h"
#include "tests/support/suite.h"

enum { ADDRESSES = 2 };

static const char *const addresses[ADDRESSES] = {"127.0.0.1", "127.0.0.2"};

/* One server, reached at two addresses, of which one works at a time. */
struct house {
    struct proxy *at[ADDRESSES];
    int port;
};

static struct house build(struct proxy *first, int port)
{
    return (struct house){
        .at = {first, proxy_new_at(addresses[1], proxy_port(first), port)},
        .port = port,
    };
}

/* Who is connected is hung up on, and so is who comes; or nobody hears anything any more. */
static void move(struct house *h, unsigned to, bool silently)
{
    struct proxy *left = h->at[!to];
    proxy_order(h->at[to], (struct proxy_order){.fault = PROXY_PASS});
    proxy_point_to(h->at[to], h->port);
    if (silently) {
        proxy_order(left, (struct proxy_order){.fault = PROXY_HOLD});
    } else {
        proxy_point_to(left, 1);
        proxy_cut_all(left);
    }
}

START_TEST(a_name_leads_to_another_address)
{
    preload_names(addresses[0]);
    struct chaos *c = chaos_begin(
        &(struct chaos_options){.parts = STACK_ALL, .through_proxy = true, .by_name = true});
    struct house redis = build(c->redis, c->stack->redis_port);
    struct house backend = build(c->backend, c->stack->backend_port);
    while (chaos_goes_on(c)) {
        unsigned to = (c->rounds + 1) % ADDRESSES;
        chaos_pass(0, 300);
        preload_names(addresses[to]);
        move(&redis, to, _i);
        move(&backend, to, _i);
        chaos_must_recover(c);
    }
    chaos_end(c);
    proxy_free(redis.at[1]);
    proxy_free(backend.at[1]);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("names");
    TCase *c = tcase_create("names");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_name_leads_to_another_address, 0, 2);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
