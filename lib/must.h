/* Assertions that tell bugs from the world; they stay in production. */
#pragma once

/* A false condition is a bug in this program: says where, and aborts. */
#define MUST(cond) ((cond) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))
/* Marks a place that no execution may reach. */
#define NEVER(why) must_fail(why, __FILE__, __LINE__)
/* The result tells of failure and must not be ignored. */
#define MUST_USE __attribute__((warn_unused_result))

_Noreturn void must_fail(const char *what, const char *file, int line);
