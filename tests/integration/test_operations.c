/* What operators rely on: metrics, the command line, secrets that stay secret, ids that are handed
 * on, header fields on every kind of answer. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/canned.h"
#include "tests/support/load.h"
#include "tests/support/net.h"
#include "tests/support/stack.h"
#include "tests/support/suite.h"

#define JSON "Accept: application/json\r\n"
#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define TRACEPARENT "00-" TRACE_ID "-b7ad6b7169203331-01"

/* Runs a service's binary with one option. */
static int run(const char *name, const char *option, char **env, char **ret_output)
{
    char *binary = stack_binary(name);
    char *directory = directory_new("run"); /* a log of its own: this run's words alone */
    const char *const argv[] = {binary, option, NULL};
    const struct process_options o = {
        .name = name, .directory = directory, .argv = argv, .env = (const char *const *)env};
    int status = process_run(&o, PATIENCE_MS, ret_output);
    free(binary);
    free(directory);
    return status;
}

static void must_say(const char *output, const char *text)
{
    ck_assert_msg(strstr(output, text) != NULL, "no \"%s\" in: %s", text, output);
}

static void must_not_say(const char *output, const char *text)
{
    ck_assert_msg(strstr(output, text) == NULL, "\"%s\" stands in: %s", text, output);
}

/* promtool finds nothing: not even a warning. */
static void must_please_promtool(struct stack *s, int port)
{
    char *output, *file = xasprintf("%s/metrics.%d", s->directory, port);
    char *command = xasprintf("promtool check metrics < %s", file);
    const char *const argv[] = {"sh", "-c", command, NULL};
    const struct process_options o = {.name = "promtool", .directory = s->directory, .argv = argv};
    file_write(file, ask_get(port, "/metrics", "")->body);
    int status = process_run(&o, PATIENCE_MS, &output);
    ck_assert_msg(status == 0 && *output == '\0', "promtool on %d: %d %s", port, status, output);
    free(output);
    free(command);
    free(file);
}

START_TEST(metrics_are_as_prometheus_wants_them)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL, .workers = 2});
    ask_get(s->port, "/nowhere", "");
    ask_method(s->port, "HEAD", "/", "");
    ask_get(s->port, "/", "");
    must_please_promtool(s, s->port);
    must_please_promtool(s, s->backend_port);
    stack_stop(s);
}
END_TEST

START_TEST(metrics_tell_what_a_load_did)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_ALL, .workers = 2});
    size_t visits = load_scale(2000);
    struct load_result r = load_finish(
        load_start(&(struct load_options){.port = {s->port}, .requests = visits}), 30000);
    const char *m = ask_get(s->port, "/metrics", "")->body;
    const char *b = ask_get(s->backend_port, "/metrics", "")->body;
    double batches = metric_value(m, "tally_visit_batches_total");
    double fetches = metric_value(m, "tally_dependency_calls_total{dependency=\"backend\"}");
    ck_assert(metric_value(m, "tally_visits_total") == (double)visits);
    ck_assert(
        metric_sum(m, "tally_http_request_duration_seconds_count{method=\"GET\",route=\"/\"") ==
        (double)visits);
    ck_assert(batches >= 1 && batches < (double)visits); /* shared */
    ck_assert(metric_value(m, "tally_visit_batch_size_sum") == (double)visits);
    ck_assert(fetches >= 1 && fetches < (double)visits);
    ck_assert(metric_value(m, "tally_dependency_failures_total{dependency=\"backend\"}") == 0);
    ck_assert(metric_value(m, "tally_dependency_up{dependency=\"redis\"}") == 1);
    ck_assert(metric_value(m, "tally_dependency_up{dependency=\"backend\"}") == 1);
    ck_assert(metric_value(b, "tally_dependency_up{dependency=\"database\"}") == 1);
    ck_assert(metric_value(m, "tally_http_requests_waiting") <= 1); /* the scrape itself */
    ck_assert(metric_sum(m, "tally_build_info{") == 1);
    ck_assert(metric_value(m, "process_cpu_seconds_total") > 0);
    ck_assert(metric_value(m, "process_resident_memory_bytes") > 1e6);
    ck_assert(metric_value(m, "process_open_fds") > 5);
    process_kill(s->redis);
    ask_until_text(s->port, "/metrics", "", "tally_dependency_up{dependency=\"redis\"} 0");
    load_done(&r);
    stack_stop(s);
}
END_TEST

static const char *const services[] = {"tally-frontend", "tally-backend"};

START_TEST(help_and_version_are_said)
{
    char *output;
    ck_assert_int_eq(run(services[_i], "--help", NULL, &output), 0);
    must_say(output, "DRAIN_TIMEOUT_MS");
    must_say(output, "--check-config");
    must_say(output, _i ? "DATABASE_URI_FILE" : "REDIS_URL_FILE");
    free(output);
    ck_assert_int_eq(run(services[_i], "--version", NULL, &output), 0);
    must_say(output, services[_i]);
    free(output);
    ck_assert_int_eq(run(services[_i], "--nonsense", NULL, &output), 2);
    must_say(output, "--nonsense");
    free(output);
}
END_TEST

START_TEST(all_wrong_settings_are_listed_at_once)
{
    static const char *const wrong[] = {"WORKERS=many",
                                        "PORT=70000",
                                        "LOG_LEVEL=loud",
                                        "DRAIN_DELAY_MS=-1",
                                        "REDIS_URL=http://u:hush-hush@h/0",
                                        "DATABASE_URI=postgres://u:hush-hush@h/db",
                                        NULL};
    static const char *const named[] = {"WORKERS", "PORT", "LOG_LEVEL", "DRAIN_DELAY_MS"};
    static const char *const options[] = {"--check-config", NULL};
    for (int i = 0; i < 2; i++) {
        char *output;
        ck_assert_int_eq(run(services[_i], options[i], (char **)wrong, &output), 2);
        for (size_t n = 0; n < sizeof named / sizeof *named; n++)
            must_say(output, named[n]);
        must_say(output, _i ? "DATABASE_URI" : "REDIS_URL");
        must_not_say(output, "hush-hush");
        free(output);
    }
}
END_TEST

START_TEST(a_right_configuration_is_called_right)
{
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .unprepared = true});
    char *output, **env = _i ? stack_backend_env(s) : stack_frontend_env(s, 0);
    int status = run(services[_i], "--check-config", env, &output);
    ck_assert_msg(status == 0, "%d: %s", status, output);
    free(output);
    stack_env_free(env);
    stack_stop(s);
}
END_TEST

START_TEST(the_health_check_asks_the_running_service)
{
    struct stack *s =
        stack_start(&(struct stack_options){.parts = STACK_COUNTER, .unprepared = true});
    char *output, **env = stack_frontend_env(s, 0);
    ck_assert_int_eq(run(services[0], "--healthcheck", env, NULL), 1);
    stack_start_frontend(s, 0);
    int status = run(services[0], "--healthcheck", env, &output);
    ck_assert_msg(status == 0, "%d: %s", status, output);
    process_freeze(s->frontend[0]);
    ck_assert_int_eq(run(services[0], "--healthcheck", env, NULL), 1);
    free(output);
    stack_env_free(env);
    stack_stop(s);
}
END_TEST

/* The command line of a process, its parts separated by blanks; the caller frees it. */
static char *command_line(const struct process *p)
{
    char *path = xasprintf("/proc/%d/cmdline", (int)p->pid), *text = xcalloc(1, 4096);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, 4095);
    ck_assert_int_gt(n, 0);
    for (ssize_t i = 0; i < n; i++)
        text[i] = text[i] ? text[i] : ' ';
    close(fd);
    free(path);
    return text;
}

/* Services with a secret in a file, and everything made to fail that logs its reasons. */
START_TEST(secrets_come_from_files_and_are_never_told)
{
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_DATABASE | STACK_REDIS |
                                                                   STACK_BACKEND | STACK_FRONTEND,
                                                          .unprepared = true});
    static const char *const password[] = {"CONFIG", "SET", "requirepass", "hush-redis", NULL};
    char *redis_file = xasprintf("REDIS_URL_FILE=%s/redis", s->directory);
    char *database_file = xasprintf("DATABASE_URI_FILE=%s/database", s->directory);
    char *redis_url = xasprintf("redis://:hush-redis@127.0.0.1:%d/0\n", s->redis_port);
    char *database_uri =
        xasprintf("mysql+pymysql://tally:hush-db@127.0.0.1:%d/tally\n", s->no_database_port);
    const char *const frontend_env[] = {"REDIS_URL=", redis_file, "LOG_LEVEL=debug",
                                        "LOG_REQUESTS=1", NULL};
    const char *const backend_env[] = {"DATABASE_URI=", database_file, "LOG_LEVEL=debug",
                                       "LOG_REQUESTS=1", NULL};
    file_write(strchr(redis_file, '/'), redis_url);
    file_write(strchr(database_file, '/'), database_uri);
    s->options.frontend_env = frontend_env;
    s->options.backend_env = backend_env;
    stack_start_redis(s);
    free(stack_redis(s, password));
    stack_start_backend(s);
    stack_start_frontend(s, 0);
    ask_until(s->port, "/", JSON, 200);
    ask_get(s->backend_port, "/backend", "");
    process_kill(s->redis);
    ask_until(s->port, "/", JSON, 503);
    struct process *both[] = {s->frontend[0], s->backend};
    for (int i = 0; i < 2; i++) {
        char *said = process_output(both[i]), *line = command_line(both[i]);
        must_not_say(said, "hush-");
        must_not_say(line, "hush-");
        ck_assert_uint_gt(strlen(said), 0);
        free(said);
        free(line);
    }
    must_not_say(ask_get(s->port, "/readyz?verbose", "")->body, "hush-");
    must_not_say(ask_get(s->backend_port, "/metrics", "")->body, "hush-");
    free(redis_file);
    free(database_file);
    free(redis_url);
    free(database_uri);
    stack_stop(s);
}
END_TEST

START_TEST(ids_are_taken_over_and_handed_on)
{
    static const char *const env[] = {"LOG_REQUESTS=1", NULL};
    int port = port_reserve();
    char *directory = directory_new("canned"),
         *url = xasprintf("http://127.0.0.1:%d/backend", port);
    struct process *backend = canned_start(directory, port,
                                           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                           "Content-Length: 3\r\nConnection: close\r\n\r\n[]\n");
    struct stack *s = stack_start(
        &(struct stack_options){.parts = STACK_COUNTER, .backend_url = url, .frontend_env = env});
    const struct answer *a =
        ask_get(s->port, "/", "X-Request-Id: my-own.id_1\r\ntraceparent: " TRACEPARENT "\r\n" JSON);
    ck_assert_str_eq(answer_field(a, "X-Request-Id"), "my-own.id_1");
    process_wait_output(s->frontend[0], "my-own.id_1", 5000);
    process_wait_output(s->frontend[0], TRACE_ID, 5000);
    process_wait_output(backend, "my-own.id_1", 5000);
    process_wait_output(backend, TRACE_ID, 5000);
    const struct answer *other = ask_get(s->port, "/", "X-Request-Id: <bad>\r\n");
    ck_assert_ptr_nonnull(answer_field(other, "X-Request-Id"));
    ck_assert_str_ne(answer_field(other, "X-Request-Id"), "<bad>");
    stack_stop(s);
    process_free(backend);
    free(directory);
    free(url);
}
END_TEST

START_TEST(one_trace_leads_through_all_logs)
{
    static const char *const env[] = {"LOG_REQUESTS=1", NULL};
    struct stack *s = stack_start(
        &(struct stack_options){.parts = STACK_ALL, .frontend_env = env, .backend_env = env});
    const struct answer *a = ask_get(s->port, "/", "traceparent: " TRACEPARENT "\r\n");
    const char *id = answer_field(a, "X-Request-Id");
    process_wait_output(s->frontend[0], id, 5000);
    process_wait_output(s->backend, id, 5000);
    process_wait_output(s->frontend[0], TRACE_ID, 5000);
    process_wait_output(s->backend, TRACE_ID, 5000);
    stack_stop(s);
}
END_TEST

START_TEST(every_answer_carries_what_protects_its_reader)
{
    static const struct {
        const char *method, *path, *fields;
    } asked[] = {{"GET", "/", ""},
                 {"GET", "/", JSON},
                 {"HEAD", "/", ""},
                 {"OPTIONS", "/", ""},
                 {"POST", "/", ""},
                 {"GET", "/nowhere", ""},
                 {"GET", "/nowhere", JSON},
                 {"GET", "/healthz", ""},
                 {"GET", "/metrics", ""},
                 {"GET", "/version", ""},
                 {"GET", "/api/v1/visits", ""}};
    struct stack *s = stack_start(&(struct stack_options){.parts = STACK_COUNTER});
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        const struct answer *a =
            ask_method(s->port, asked[i].method, asked[i].path, asked[i].fields);
        ck_assert_msg(a->status != 0, "%s %s: no answer", asked[i].method, asked[i].path);
        ck_assert_ptr_nonnull(answer_field(a, "X-Request-Id"));
        ck_assert_str_eq(answer_field(a, "X-Content-Type-Options"), "nosniff");
        ck_assert_str_eq(answer_field(a, "Cache-Control"), "no-store");
        ck_assert_int_eq(
            strncmp(answer_field(a, "Content-Security-Policy"), "default-src 'none'", 18), 0);
    }
    ck_assert_ptr_nonnull(strstr(ask_method(s->port, "POST", "/", "")->head, "Allow: "));
    stack_stop(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("operations");
    TCase *c = tcase_create("operations");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, metrics_are_as_prometheus_wants_them);
    tcase_add_test(c, metrics_tell_what_a_load_did);
    tcase_add_loop_test(c, help_and_version_are_said, 0, 2);
    tcase_add_loop_test(c, all_wrong_settings_are_listed_at_once, 0, 2);
    tcase_add_loop_test(c, a_right_configuration_is_called_right, 0, 2);
    tcase_add_test(c, the_health_check_asks_the_running_service);
    tcase_add_test(c, secrets_come_from_files_and_are_never_told);
    tcase_add_test(c, ids_are_taken_over_and_handed_on);
    tcase_add_test(c, one_trace_leads_through_all_logs);
    tcase_add_test(c, every_answer_carries_what_protects_its_reader);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
