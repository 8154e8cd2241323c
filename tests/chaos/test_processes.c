/* Each process of the stack is killed and frozen at random moments, under load. */
#include "tests/support/chaos.h"
#include "tests/support/suite.h"

static void kill_redis(struct chaos *c)
{
    process_kill(c->stack->redis);
    chaos_pass(0, 500);
    stack_start_redis(c->stack);
}

static void kill_backend(struct chaos *c)
{
    process_kill(c->stack->backend);
    chaos_pass(0, 500);
    stack_start_backend(c->stack);
}

static void kill_database(struct chaos *c)
{
    mariadb_kill(c->stack->database);
    chaos_pass(0, 500);
    mariadb_start(c->stack->database);
}

static void kill_frontend(struct chaos *c)
{
    process_kill(c->stack->frontend[0]);
    chaos_pass(0, 200);
    stack_start_frontend(c->stack, 0);
}

static void freeze_redis(struct chaos *c)
{
    chaos_freeze(c->stack->redis, 50, 1500);
}

static void freeze_backend(struct chaos *c)
{
    chaos_freeze(c->stack->backend, 50, 1500);
}

static void freeze_database(struct chaos *c)
{
    chaos_freeze(c->stack->database->process, 50, 1500);
}

static void freeze_frontend(struct chaos *c)
{
    chaos_freeze(c->stack->frontend[0], 50, 800);
}

static const struct {
    void (*happen)(struct chaos *c);
    unsigned parts;
    bool frontend_suffers;
} disasters[] = {
    {kill_redis, STACK_COUNTER, false},   {kill_backend, STACK_ALL, false},
    {kill_database, STACK_ALL, false},    {kill_frontend, STACK_COUNTER, true},
    {freeze_redis, STACK_COUNTER, false}, {freeze_backend, STACK_ALL, false},
    {freeze_database, STACK_ALL, false},  {freeze_frontend, STACK_COUNTER, true},
};

/* In the order of the table: killed are Redis, backend, database, frontend; then the same frozen.
 */
START_TEST(a_process_dies_or_stands_still)
{
    struct chaos *c =
        chaos_begin(&(struct chaos_options){.parts = disasters[_i].parts,
                                            .workers = 1 + (unsigned)_i % 2,
                                            .frontend_suffers = disasters[_i].frontend_suffers});
    while (chaos_goes_on(c)) {
        chaos_pass(50, 500);
        disasters[_i].happen(c);
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
    tcase_add_loop_test(c, a_process_dies_or_stands_still, 0, sizeof disasters / sizeof *disasters);
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
