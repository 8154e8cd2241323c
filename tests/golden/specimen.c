/* A Check program that fails in every way a test can fail: what the converter is fed. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

START_TEST(passes)
{
    ck_assert_int_eq(1 + 1, 2);
}
END_TEST

START_TEST(fails)
{
    ck_assert_msg(0, "a <failure> with \"quotes\" & an ampersand, caf\xc3\xa9");
}
END_TEST

START_TEST(crashes)
{
    raise(SIGSEGV);
}
END_TEST

START_TEST(exits)
{
    exit(3);
}
END_TEST

START_TEST(hangs)
{
    for (;;)
        pause();
}
END_TEST

START_TEST(fails_once)
{
    ck_assert_int_ne(_i, 1);
}
END_TEST

START_TEST(says_what_xml_cannot)
{
    ck_abort_msg("control \x01 and a byte that is not UTF-8 \xff");
}
END_TEST

static Suite *specimen_suite(void)
{
    Suite *s = suite_create("specimen");
    TCase *plain = tcase_create("plain");
    TCase *loops = tcase_create("loops");

    tcase_set_timeout(plain, 0.2);
    tcase_add_test(plain, passes);
    tcase_add_test(plain, fails);
    tcase_add_test(plain, crashes);
    tcase_add_test(plain, exits);
    tcase_add_test(plain, hangs);
    tcase_add_test(plain, says_what_xml_cannot);
    tcase_add_loop_test(loops, fails_once, 0, 3);
    suite_add_tcase(s, plain);
    suite_add_tcase(s, loops);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(specimen_suite());

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
