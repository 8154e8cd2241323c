/* The log: each line is read back as JSON, and each write is counted. */
#include "lib/log.h"
#include "lib/mem.h"
#include "tests/support/capture.h"
#include "tests/support/suite.h"
#include <jansson.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct capture capture;

static void begin(void)
{
    log_init("tally-test", LOG_DEBUG);
    capture_start(&capture, STDERR_FILENO);
}

static void say(const char *message)
{
    log_begin(LOG_INFO, message);
    log_end();
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; (text = strchr(text, '\n')); text++)
        lines++;
    return lines;
}

/* The only line that was written. */
static json_t *stop_and_read_line(void)
{
    char *text = capture_stop(&capture);
    ck_assert_uint_eq(count_lines(text), 1);
    json_t *line = json_loads(text, 0, NULL);
    ck_assert_msg(json_is_object(line), "not JSON: %s", text);
    free(text);
    return line;
}

static const char *text_of(json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    ck_assert_msg(text != NULL, "no %s", key);
    return text;
}

START_TEST(a_line_is_one_json_object)
{
    log_begin(LOG_WARN, "redis is unavailable");
    log_text("reason", "connection refused");
    log_text("nothing", NULL);
    log_int("retry_ms", -250);
    log_int("most", INT64_MAX);
    log_end();

    json_t *line = stop_and_read_line();
    ck_assert_str_eq(text_of(line, "level"), "warn");
    ck_assert_str_eq(text_of(line, "service"), "tally-test");
    ck_assert_str_eq(text_of(line, "msg"), "redis is unavailable");
    ck_assert_str_eq(text_of(line, "reason"), "connection refused");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "retry_ms")), -250);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "most")), INT64_MAX);
    ck_assert_uint_eq(json_object_size(line), 7);
    json_decref(line);
}
END_TEST

/* time() may lag behind the clock that the log reads, by a tick of the kernel's. */
static time_t seconds_now(void)
{
    struct timespec now;
    ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &now), 0);
    return now.tv_sec;
}

START_TEST(the_time_is_utc_with_milliseconds)
{
    regex_t shape;
    ck_assert_int_eq(regcomp(&shape,
                             "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:"
                             "[0-6][0-9]\\.[0-9]{3}Z$",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    setenv("TZ", "Asia/Tokyo", 1);
    time_t before = seconds_now();
    say("now");

    json_t *line = stop_and_read_line();
    const char *ts = text_of(line, "ts");
    struct tm utc = {0};
    ck_assert_int_eq(regexec(&shape, ts, 0, NULL, 0), 0);
    ck_assert_ptr_nonnull(strptime(ts, "%Y-%m-%dT%H:%M:%S", &utc));
    ck_assert_int_ge(timegm(&utc), before);
    ck_assert_int_le(timegm(&utc), seconds_now());
    json_decref(line);
    regfree(&shape);
}
END_TEST

static const char *const levels[] = {"debug", "info", "warn", "error"};

START_TEST(lines_below_the_level_are_dropped_whole)
{
    log_init("tally-test", (enum log_level)_i);
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        ck_assert_int_eq(log_enabled((enum log_level)level), level >= _i);
        log_begin((enum log_level)level, "message");
        log_text("key", "value");
        log_int("number", 1);
        log_end();
    }
    char *text = capture_stop(&capture);
    ck_assert_uint_eq(count_lines(text), (size_t)(4 - _i));
    for (int level = 0; level < 4; level++)
        ck_assert_int_eq(strstr(text, levels[level]) != NULL, level >= _i);
    free(text);
}
END_TEST

static const char *const hostile[] = {
    "two\nlines",   "\r\n{\"level\":\"error\"}",
    "\"},{\"",      "back\\slash",
    "\x1b[2J",      "\xFF\xC3",
    "\xE2\x80\xA8", "",
};

START_TEST(no_value_breaks_out_of_its_line)
{
    log_begin(LOG_ERROR, hostile[_i]);
    log_text("key", hostile[_i]);
    log_text(hostile[_i], "value");
    log_end();

    json_t *line = stop_and_read_line();
    ck_assert_str_eq(text_of(line, "level"), "error");
    ck_assert_str_eq(text_of(line, "msg"), text_of(line, "key"));
    ck_assert_uint_eq(json_object_size(line), 6);
    json_decref(line);
}
END_TEST

START_TEST(a_line_has_no_longest_length)
{
    enum { LENGTH = 300000 };
    char *text = xcalloc(LENGTH + 1, 1);
    memset(text, 'x', LENGTH);
    say(text);

    json_t *line = stop_and_read_line();
    ck_assert_str_eq(text_of(line, "msg"), text);
    json_decref(line);
    free(text);
}
END_TEST

/* Standard error becomes one end of a socket that keeps writes apart; returns the other. */
static int count_writes(void)
{
    int ends[2];
    free(capture_stop(&capture));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)), 0);
    ck_assert_int_eq(dup2(ends[0], STDERR_FILENO), STDERR_FILENO);
    close(ends[0]);
    return ends[1];
}

/* The lines in the next write; 0 when there is none. */
static size_t lines_of_write(int reader)
{
    static char text[256 * 1024];
    ssize_t n = recv(reader, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return count_lines(text);
}

START_TEST(each_line_is_written_at_once_where_none_are_held)
{
    int reader = count_writes();
    say("one");
    ck_assert_uint_eq(lines_of_write(reader), 1);
    say("two");
    ck_assert_uint_eq(lines_of_write(reader), 1);
    log_flush();
    ck_assert_uint_eq(lines_of_write(reader), 0);
    close(reader);
}
END_TEST

START_TEST(held_lines_leave_in_one_write)
{
    int reader = count_writes();
    log_hold();
    for (int i = 0; i < 50; i++)
        say("held");
    ck_assert_uint_eq(lines_of_write(reader), 0);
    log_flush();
    ck_assert_uint_eq(lines_of_write(reader), 50);
    log_flush();
    ck_assert_uint_eq(lines_of_write(reader), 0);
    close(reader);
}
END_TEST

START_TEST(held_lines_have_a_bound)
{
    int reader = count_writes();
    char kilobyte[1025] = "";
    memset(kilobyte, 'x', 1024);
    log_hold();
    for (int i = 0; i < 64; i++)
        say(kilobyte);

    size_t lines = lines_of_write(reader);
    ck_assert_uint_gt(lines, 50);
    ck_assert_uint_lt(lines, 64);
    log_flush();
    ck_assert_uint_eq(lines_of_write(reader), 64 - lines);
    close(reader);
}
END_TEST

enum { THREADS = 4, LINES = 200 };

static void *chatter(void *arg)
{
    const char *name = arg;
    log_hold();
    for (int i = 0; i < LINES; i++) {
        log_begin(LOG_INFO, name);
        log_int("i", i);
        log_end();
        if (i % 7 == 0)
            log_flush();
    }
    return NULL; /* what is held leaves with the thread */
}

START_TEST(threads_never_tear_each_others_lines)
{
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, chatter, names[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);

    char *text = capture_stop(&capture);
    ck_assert_uint_eq(count_lines(text), THREADS * LINES);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, 0, NULL);
        ck_assert_msg(json_is_object(object), "torn: %s", line);
        json_decref(object);
    }
    free(text);
}
END_TEST

START_TEST(a_closed_standard_error_stops_nothing)
{
    free(capture_stop(&capture));
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    say("to nobody");
    dup2(saved, STDERR_FILENO);
    close(saved);

    capture_start(&capture, STDERR_FILENO);
    say("to somebody");
    json_t *line = stop_and_read_line();
    ck_assert_str_eq(text_of(line, "msg"), "to somebody");
    json_decref(line);
}
END_TEST

static void text_outside(void)
{
    log_text("key", "value");
}

static void int_outside(void)
{
    log_int("key", 1);
}

static void begin_twice(void)
{
    log_begin(LOG_INFO, "one");
    log_begin(LOG_INFO, "two");
}

static void flush_inside(void)
{
    log_begin(LOG_INFO, "one");
    log_flush();
}

static void (*const misuses[])(void) = {text_outside, int_outside, log_end, begin_twice,
                                        flush_inside};

START_TEST(misuse_is_a_bug)
{
    misuses[_i]();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("log");
    tcase_add_checked_fixture(tcase, begin, NULL);
    tcase_add_test(tcase, a_line_is_one_json_object);
    tcase_add_test(tcase, the_time_is_utc_with_milliseconds);
    tcase_add_loop_test(tcase, lines_below_the_level_are_dropped_whole, 0, 4);
    tcase_add_loop_test(tcase, no_value_breaks_out_of_its_line, 0, COUNT(hostile));
    tcase_add_test(tcase, a_line_has_no_longest_length);
    tcase_add_test(tcase, each_line_is_written_at_once_where_none_are_held);
    tcase_add_test(tcase, held_lines_leave_in_one_write);
    tcase_add_test(tcase, held_lines_have_a_bound);
    tcase_add_test(tcase, threads_never_tear_each_others_lines);
    tcase_add_test(tcase, a_closed_standard_error_stops_nothing);
    tcase_add_loop_test_raise_signal(tcase, misuse_is_a_bug, SIGABRT, 0, COUNT(misuses));
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
