/* Workers: starting together, signals, leaving together. */
#include "lib/worker.h"

#include <arpa/inet.h>
#include <check.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/http.h"
#include "lib/listen.h"
#include "lib/mem.h"
#include "tests/support/ask.h"
#include "tests/support/load.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"

enum { DEADLINE_MS = 10000, LATE_MS = 50 };

/* What the service under test, a process of its own, and the test know together. */
struct board {
    atomic_uint started, stopped, freed, drained, settle_calls, asked;
    unsigned settle_after; /* on_settle says true from this call on */
    int failing_worker;    /* index of one that cannot start; -1: none */
};

static struct board *board;
static struct worker_options options;
static pid_t service;

/* One worker of the service: /now answers at once, /late after LATE_MS. */
struct wait {
    TAILQ_ENTRY(wait) link;
};

struct player {
    struct worker *worker;
    uv_timer_t late;
    TAILQ_HEAD(, wait) waits;
};

static void reply(struct http_request *req)
{
    http_reply(req, &(struct http_reply){.status = 200, .body = "yes", .length = 3});
}

static void get_now(struct http_request *req, void *context)
{
    (void)context;
    reply(req);
}

static void get_late(struct http_request *req, void *context)
{
    struct player *player = context;
    struct wait *wait = http_state(req);
    TAILQ_INSERT_TAIL(&player->waits, wait, link);
    atomic_fetch_add(&board->asked, 1);
}

static void on_late_gone(struct http_request *req, void *context)
{
    struct player *player = context;
    struct wait *wait = http_state(req);
    TAILQ_REMOVE(&player->waits, wait, link);
}

static void on_late(uv_timer_t *timer)
{
    struct player *player = timer->data;
    struct wait *wait;
    while ((wait = TAILQ_FIRST(&player->waits)) != NULL) {
        TAILQ_REMOVE(&player->waits, wait, link);
        reply(http_request_of(wait));
    }
}

static void get_draining(struct http_request *req, void *context)
{
    struct player *player = context;
    size_t count;
    struct worker *const *all = worker_all(player->worker, &count);
    bool known = all[worker_index(player->worker)] == player->worker &&
                 worker_state(player->worker) == player && worker_http(player->worker) != NULL;
    char *text = xasprintf("%d %zu %d", worker_is_draining(player->worker), count, known ? 1 : 0);
    http_reply(req, &(struct http_reply){.status = 200, .body = text, .length = strlen(text)});
    free(text);
}

static const struct http_route routes[] = {
    {.path = "/now", .on_get = get_now},
    {.path = "/late",
     .on_get = get_late,
     .on_gone = on_late_gone,
     .state_size = sizeof(struct wait)},
    {.path = "/draining", .on_get = get_draining},
    {0},
};

static int on_start(struct worker *worker, void *context, struct http_options *http,
                    void **ret_state)
{
    (void)context;
    if ((int)worker_index(worker) == board->failing_worker)
        return UV_ENOENT;
    struct player *player = xcalloc(1, sizeof *player);
    player->worker = worker;
    TAILQ_INIT(&player->waits);
    uv_timer_init(worker_loop(worker), &player->late);
    player->late.data = player;
    uv_timer_start(&player->late, on_late, LATE_MS, LATE_MS);
    http->routes = routes;
    http->context = player;
    http->csp = "default-src 'none'";
    *ret_state = player;
    atomic_fetch_add(&board->started, 1);
    return 0;
}

static bool on_settle(void *state)
{
    (void)state;
    return atomic_fetch_add(&board->settle_calls, 1) + 1 >= board->settle_after;
}

static void on_stop(void *state)
{
    struct player *player = state;
    uv_close((uv_handle_t *)&player->late, NULL);
    atomic_fetch_add(&board->stopped, 1);
}

static void on_free(void *state)
{
    atomic_fetch_add(&board->freed, 1);
    free(state);
}

static void on_drain(void *context)
{
    (void)context;
    atomic_fetch_add(&board->drained, 1);
}

static const struct worker_hooks hooks = {.on_start = on_start,
                                          .on_settle = on_settle,
                                          .on_stop = on_stop,
                                          .on_free = on_free,
                                          .on_drain = on_drain};

static void prepare(void)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(board, MAP_FAILED);
    *board = (struct board){.failing_worker = -1};
    service = 0;
    options = (struct worker_options){.workers = 2,
                                      .listen_address = "::",
                                      .port = port_reserve(),
                                      .max_connections = 200,
                                      .connection_timeout_s = 60,
                                      .drain_timeout_ms = 5000,
                                      .hooks = &hooks};
}

static void clean_up(void)
{
    if (service > 0) {
        kill(service, SIGKILL);
        waitpid(service, NULL, 0);
    }
    munmap(board, sizeof *board);
}

/* Runs the service in a process of its own, so that it has a main thread and signals. */
static void start(void)
{
    service = fork();
    ck_assert_int_ge(service, 0);
    if (service == 0) {
        char *reason = NULL;
        int error = worker_run_all(&options, &reason);
        free(reason);
        exit(error ? 1 : 0);
    }
    ask_until(options.port, "/now", "", 200);
}

/* Waits for the service's end: its exit status. */
static int join(void)
{
    int status;
    unsigned long long deadline = now_ms() + DEADLINE_MS;
    while (waitpid(service, &status, WNOHANG) == 0) {
        ck_assert_msg(now_ms() < deadline, "the service does not leave");
        pause_ms(1);
    }
    service = 0;
    ck_assert_msg(WIFEXITED(status), "the service died of signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void wait_until_asked(unsigned count)
{
    unsigned long long deadline = now_ms() + DEADLINE_MS;
    while (atomic_load(&board->asked) < count) {
        ck_assert_msg(now_ms() < deadline, "nobody asked");
        pause_ms(1);
    }
}

static const int signals[] = {SIGTERM, SIGINT};

START_TEST(workers_start_and_leave_together)
{
    start();
    ck_assert_str_eq(ask_get(options.port, "/draining", "")->body, "0 2 1");
    kill(service, signals[_i]);
    ck_assert_int_eq(join(), 0);
    ck_assert_uint_eq(board->started, 2);
    ck_assert_uint_eq(board->stopped, 2);
    ck_assert_uint_eq(board->freed, 2);
    ck_assert_uint_eq(board->drained, 1);
    ck_assert_uint_ge(board->settle_calls, 2);
}
END_TEST

START_TEST(a_port_in_use_is_said_in_a_sentence)
{
    char *reason = NULL, *second = NULL;
    int fd;
    ck_assert_int_eq(listen_on("::", options.port, &fd, &reason), 0);
    ck_assert_int_eq(worker_run_all(&options, &second), UV_EADDRINUSE);
    char *expected =
        xasprintf("Cannot listen on :: port %d: address already in use.", options.port);
    ck_assert_str_eq(second, expected);
    free(expected);
    free(second);
    close(fd);
}
END_TEST

START_TEST(an_address_that_is_none_is_said_in_a_sentence)
{
    char *reason = NULL;
    options.listen_address = "localhost.example";
    ck_assert_int_eq(worker_run_all(&options, &reason), UV_EINVAL);
    ck_assert_str_eq(reason, "Cannot listen on localhost.example: it is no numeric address.");
    free(reason);
}
END_TEST

START_TEST(a_specific_address_is_listened_on)
{
    options.listen_address = "127.0.0.1";
    start();
    kill(service, SIGTERM);
    ck_assert_int_eq(join(), 0);
}
END_TEST

START_TEST(a_worker_that_cannot_start_takes_the_others_back)
{
    char *reason = NULL;
    board->failing_worker = _i;
    ck_assert_int_eq(worker_run_all(&options, &reason), UV_ENOENT);
    ck_assert_str_eq(reason, "A worker could not start: no such file or directory.");
    ck_assert_uint_eq(board->started, 1);
    ck_assert_uint_eq(board->stopped, 1);
    ck_assert_uint_eq(board->freed, 1);
    free(reason);
}
END_TEST

START_TEST(whoever_waits_is_answered_before_the_end)
{
    start();
    int fd = net_connect(options.port);
    const char *request = "GET /late HTTP/1.1\r\nHost: test\r\n\r\n";
    ck_assert_int_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    wait_until_asked(1);
    kill(service, SIGTERM);
    const struct answer *answer = ask_on(fd, "", 0, false);
    ck_assert_int_eq(answer->status, 200);
    ck_assert_int_eq(join(), 0);
    close(fd);
}
END_TEST

START_TEST(while_the_delay_lasts_new_clients_are_served)
{
    options.drain_delay_ms = 300;
    start();
    unsigned long long before = now_ms();
    kill(service, SIGTERM);
    const struct answer *answer = ask_until_text(options.port, "/draining", "", "1 2 1");
    ck_assert_str_eq(answer_field(answer, "Connection"), "close");
    kill(service, SIGTERM); /* a second one hastens nothing */
    ck_assert_int_eq(join(), 0);
    ck_assert_uint_ge(now_ms() - before, 300);
}
END_TEST

START_TEST(an_idle_connection_does_not_hold_the_end)
{
    start();
    int fd = net_connect(options.port);
    unsigned long long before = now_ms();
    kill(service, SIGTERM);
    ck_assert_int_eq(join(), 0);
    ck_assert_uint_lt(now_ms() - before, 4000);
    close(fd);
}
END_TEST

START_TEST(leaving_waits_until_the_service_has_settled)
{
    board->settle_after = 20;
    start();
    kill(service, SIGTERM);
    ck_assert_int_eq(join(), 0);
    ck_assert_uint_ge(board->settle_calls, 20);
}
END_TEST

START_TEST(leaving_waits_no_longer_than_the_time_out)
{
    board->settle_after = UINT32_MAX;
    options.drain_timeout_ms = 100;
    start();
    kill(service, SIGTERM);
    ck_assert_int_eq(join(), 0);
}
END_TEST

static const char *const loads[] = {"/now", "/late"};

START_TEST(sigterm_under_load_drops_no_request)
{
    options.drain_delay_ms = 100;
    start();
    struct load *load = load_start(&(struct load_options){
        .port = {options.port}, .connections = 16, .path = loads[_i], .fields = ""});
    load_wait_requests(load, 200, DEADLINE_MS);
    kill(service, SIGTERM);
    ck_assert_int_eq(join(), 0);
    load_stop(load);
    struct load_result result = load_finish(load, DEADLINE_MS);
    ck_assert_uint_ge(result.ended[LOAD_ANSWERED], 200);
    ck_assert_uint_eq(result.ended[LOAD_RESET_FRESH], 0);
    ck_assert_uint_eq(result.ended[LOAD_RESET_BEFORE], 0);
    ck_assert_uint_eq(result.ended[LOAD_RESET_MIDDLE], 0);
    ck_assert_uint_eq(result.ended[LOAD_TIMED_OUT], 0);
    load_done(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker");
    TCase *c = tcase_create("worker");
    tcase_set_timeout(c, 30);
    tcase_add_checked_fixture(c, prepare, clean_up);
    tcase_add_loop_test(c, workers_start_and_leave_together, 0, 2);
    tcase_add_test(c, a_port_in_use_is_said_in_a_sentence);
    tcase_add_test(c, an_address_that_is_none_is_said_in_a_sentence);
    tcase_add_test(c, a_specific_address_is_listened_on);
    tcase_add_loop_test(c, a_worker_that_cannot_start_takes_the_others_back, 0, 2);
    tcase_add_test(c, whoever_waits_is_answered_before_the_end);
    tcase_add_test(c, while_the_delay_lasts_new_clients_are_served);
    tcase_add_test(c, an_idle_connection_does_not_hold_the_end);
    tcase_add_test(c, leaving_waits_until_the_service_has_settled);
    tcase_add_test(c, leaving_waits_no_longer_than_the_time_out);
    tcase_add_loop_test(c, sigterm_under_load_drops_no_request, 0, 2);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
