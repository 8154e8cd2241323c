/* Each process of the stack is killed and frozen at random moments, under load. */
#include "tests/support/chaos.h"
#include "tests/support/suite.h"

static const struct {
    unsigned victim, parts;
    bool front_suffers; /* the visitors talk to the victim itself */
} victims[] = {
    {STACK_REDIS, STACK_COUNTER, false},          {STACK_BACKEND, STACK_ALL, false},
    {STACK_DATABASE, STACK_ALL, false},           {STACK_FRONTEND, STACK_COUNTER, true},
    {STACK_NGINX, STACK_ALL | STACK_NGINX, true},
};

enum { VICTIMS = sizeof victims / sizeof *victims };

static struct chaos *begin(int i)
{
    return chaos_begin(&(struct chaos_options){.parts = victims[i].parts,
                                               .workers = 1 + (unsigned)i % 2,
                                               .front_suffers = victims[i].front_suffers});
}

START_TEST(a_process_dies)
{
    struct chaos *c = begin(_i);
    while (chaos_goes_on(c)) {
        chaos_pass(50, 500);
        chaos_kill(c, victims[_i].victim, victims[_i].front_suffers ? 200 : 500);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

START_TEST(a_process_stands_still)
{
    struct chaos *c = begin(_i);
    while (chaos_goes_on(c)) {
        chaos_pass(50, 500);
        chaos_freeze(c, victims[_i].victim, 50, victims[_i].front_suffers ? 800 : 1500);
        chaos_must_recover(c);
    }
    chaos_end(c);
}
END_TEST

/* So long that every pause between two attempts has grown to its longest. */
START_TEST(redis_returns_after_a_long_time)
{
    struct chaos *c = chaos_begin(&(struct chaos_options){.parts = STACK_COUNTER});
    process_kill(c->stack->redis);
    chaos_pass(5500, 7000);
    stack_start_redis(c->stack);
    chaos_must_recover(c);
    chaos_end(c);
}
END_TEST

START_TEST(the_database_returns_after_a_long_time)
{
    struct chaos *c = chaos_begin(&(struct chaos_options){.parts = STACK_ALL});
    mariadb_kill(c->stack->database);
    chaos_pass(5500, 7000);
    mariadb_start(c->stack->database);
    chaos_must_recover(c);
    chaos_end(c);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("processes");
    TCase *c = tcase_create("processes");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_process_dies, 0, VICTIMS);
    tcase_add_loop_test(c, a_process_stands_still, 0, VICTIMS);
    suite_add_tcase(suite, c);
    TCase *away = tcase_create("long_absence");
    tcase_set_timeout(away, 60);
    tcase_add_test(away, redis_returns_after_a_long_time);
    tcase_add_test(away, the_database_returns_after_a_long_time);
    suite_add_tcase(suite, away);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
