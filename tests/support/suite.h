/* Runs one Check suite as a whole program: the main of every test is one line.
 *     int main(void) { return suite_run(make_suite()); }
 */
#pragma once

#include <check.h>

/* Runs the suite as Check's CK_ variables say, frees it, and returns the exit status: 0 when every
 * test passed, 1 when one failed or none ran. */
int suite_run(Suite *suite);
