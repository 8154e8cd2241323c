/* A libuv loop in a test: wait for what must happen, and end clean. */
#pragma once

#include <check.h>
#include <uv.h>

/* Runs the loop until the condition holds. A loop with nothing left to do fails the test; one that
 * turns for ever is ended by Check's time-out. */
#define loop_wait(loop, condition)                                                                 \
    while (!(condition))                                                                           \
    ck_assert_msg(uv_run((loop), UV_RUN_ONCE) || (condition), "nothing happens any more: %s",      \
                  #condition)

/* Runs until every handle is closed, and closes the loop: nothing may be left in it. */
#define loop_end(loop)                                                                             \
    do {                                                                                           \
        uv_run((loop), UV_RUN_DEFAULT);                                                            \
        ck_assert_int_eq(uv_loop_close(loop), 0);                                                  \
    } while (0)
