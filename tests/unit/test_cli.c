/* The command line, and the health check against servers that answer well, badly and never. */
#include "lib/cli.h"
#include "lib/build.h"
#include "lib/mem.h"
#include "tests/support/capture.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct config_setting settings[] = {
    {"PORT", CONFIG_INT, 0, "5000", 1, 65535, NULL, "where it listens"},
};
static const struct cli_service service = {
    .name = "tally-test",
    .purpose = "is tested.",
    .more_options = "  --migrate       brings the tables up to date\n",
    .table = settings,
    .table_count = COUNT(settings),
};
static const char *const others[] = {"--migrate", "--seed", NULL};

/* What a command line of up to four options gave. */
struct outcome {
    enum cli_wish wish;
    unsigned others;
    char *out, *err;
};

static struct outcome parse(const char *const *options)
{
    char *argv[6] = {"tally-test"};
    int argc = 1;
    struct capture out, err;
    struct outcome o = {.others = 77};
    for (; options[argc - 1]; argc++)
        argv[argc] = (char *)options[argc - 1];
    capture_start(&out, STDOUT_FILENO);
    capture_start(&err, STDERR_FILENO);
    o.wish = cli_parse(&service, argc, argv, others, &o.others);
    o.err = capture_stop(&err);
    o.out = capture_stop(&out);
    return o;
}

static void outcome_done(struct outcome *o)
{
    free(o->out);
    free(o->err);
}

static const struct line {
    const char *options[5];
    enum cli_wish wish;
    unsigned others;
} lines[] = {
    {{NULL}, CLI_SERVE, 0},
    {{"--check-config"}, CLI_CHECK_CONFIG, 0},
    {{"--healthcheck"}, CLI_HEALTHCHECK, 0},
    {{"--migrate"}, CLI_OTHER, 1},
    {{"--seed"}, CLI_OTHER, 2},
    {{"--migrate", "--seed"}, CLI_OTHER, 3},
    {{"--seed", "--migrate", "--seed"}, CLI_OTHER, 3},
    {{"--"}, CLI_SERVE, 0},
};

START_TEST(options_are_understood_in_silence)
{
    struct outcome o = parse(lines[_i].options);
    ck_assert_int_eq(o.wish, lines[_i].wish);
    ck_assert_uint_eq(o.others, lines[_i].others);
    ck_assert_str_eq(o.out, "");
    ck_assert_str_eq(o.err, "");
    outcome_done(&o);
}
END_TEST

static const struct wrong {
    const char *options[5];
    const char *says;
} wrongs[] = {
    {{"--nonsense"}, "--nonsense"},
    {{"-x"}, "x"},
    {{"--check-config=1"}, "--check-config"},
    {{"--migrate", "--nonsense"}, "--nonsense"},
    {{"argument"}, "no arguments"},
    {{"--migrate", "argument"}, "no arguments"},
    {{"--", "--help"}, "no arguments"},
    {{""}, "no arguments"},
    {{"--check-config", "--healthcheck"}, "exclude"},
    {{"--migrate", "--check-config"}, "exclude"},
};

START_TEST(what_is_not_understood_is_named)
{
    struct outcome o = parse(wrongs[_i].options);
    ck_assert_int_eq(o.wish, CLI_EXIT_USAGE);
    ck_assert_msg(strstr(o.err, wrongs[_i].says) != NULL, "%s", o.err);
    ck_assert_ptr_nonnull(strstr(o.err, "--help"));
    ck_assert_str_eq(o.out, "");
    outcome_done(&o);
}
END_TEST

static const char *const in_help[] = {
    "tally-test: is tested.\n",
    "--help",
    "--version",
    "--check-config",
    "--healthcheck",
    "  --migrate       brings the tables up to date\n",
    "  PORT=5000\n      where it listens (1 to 65535)\n",
};

START_TEST(help_is_printed_to_standard_output)
{
    struct outcome o = parse((const char *const[]){"--help", NULL});
    ck_assert_int_eq(o.wish, CLI_EXIT_OK);
    for (size_t i = 0; i < COUNT(in_help); i++)
        ck_assert_msg(strstr(o.out, in_help[i]) != NULL, "no %s in\n%s", in_help[i], o.out);
    ck_assert_str_eq(o.err, "");
    outcome_done(&o);
}
END_TEST

static void assert_version(const char *version)
{
    char expected[256];
    struct outcome o = parse((const char *const[]){"--version", NULL});
    snprintf(expected, sizeof(expected), "tally-test %s (revision %s, tree %s)\n", version,
             build_revision, build_tree);
    ck_assert_int_eq(o.wish, CLI_EXIT_OK);
    ck_assert_str_eq(o.out, expected);
    outcome_done(&o);
}

START_TEST(the_version_is_the_release_or_the_revision)
{
    unsetenv("RELEASE");
    assert_version(build_revision);
    setenv("RELEASE", "", 1);
    assert_version(build_revision);
    setenv("RELEASE", "1.2.3", 1);
    assert_version("1.2.3");
}
END_TEST

/* A server of one connection: reads the request, answers in pieces, and hangs up, or stays until
 * the client does. */
struct server {
    int listener, port;
    const char *const *pieces; /* NULL-ended */
    bool stays;
    char request[256];
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct server *server = arg;
    char rest[64];
    int fd = accept(server->listener, NULL, NULL);
    ssize_t n = recv(fd, server->request, sizeof(server->request) - 1, 0);
    for (const char *const *piece = server->pieces; n > 0 && *piece; piece++)
        send(fd, *piece, strlen(*piece), MSG_NOSIGNAL);
    while (server->stays && recv(fd, rest, sizeof(rest), 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void server_listen(struct server *server, const struct sockaddr *address, socklen_t length)
{
    struct sockaddr_in6 bound = {0};
    server->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(server->listener, address, length), 0);
    ck_assert_int_eq(listen(server->listener, 1), 0);
    ck_assert_int_eq(
        getsockname(server->listener, (struct sockaddr *)&bound, &(socklen_t){sizeof(bound)}), 0);
    server->port = ntohs(bound.sin6_port); /* it stands where sin_port stands */
}

static void server_start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server_listen(server, (struct sockaddr *)&address, sizeof(address));
    ck_assert_int_eq(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    pthread_join(server->thread, NULL);
    close(server->listener);
}

/* The exit status; *ret_says is what it wrote to standard error, the caller's. */
static int healthcheck(const char *address, int port, char **ret_says)
{
    struct capture err;
    capture_start(&err, STDERR_FILENO);
    int status = cli_healthcheck(address, port);
    *ret_says = capture_stop(&err);
    return status;
}

static const struct answer {
    const char *pieces[8];
    const char *says; /* NULL: healthy */
    bool stays;
} answers[] = {
    {{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"}, NULL, false},
    {{"HTTP/1.1 200 OK\r\n\r\n"}, NULL, true},
    {{"HTTP/1.0 200 OK\r\n\r\n"}, NULL, false},
    {{"HTT", "P/1.1", " 2", "00 OK\r", "\n\r\n"}, NULL, true},
    {{"HTTP/1.1 503 Service Unavailable\r\n\r\n"}, "answered 503", false},
    {{"HTTP/1.1 404 Not Found\r\n\r\n"}, "answered 404", false},
    {{"HTTP/1.1 2000\r\n\r\n"}, "did not answer", false},
    {{"HTTP/1.1 20\r\n\r\n"}, "did not answer", false},
    {{"HTTP/1.1 -20\r\n\r\n"}, "did not answer", false},
    {{"HTTP/1.1  200\r\n\r\n"}, "did not answer", false},
    {{"HTTP/2 200\r\n"}, "did not answer", false},
    {{"200 OK\r\n"}, "did not answer", false},
    {{"HTTP/1.1\r\n"}, "did not answer", false},
    {{"\r\n"}, "did not answer", false},
    {{NULL}, "did not answer", false},
    {{"HTTP/1.1 200"}, "did not answer", false},
};

START_TEST(only_a_200_is_healthy)
{
    const struct answer *a = &answers[_i];
    char *says;
    struct server server = {.pieces = a->pieces, .stays = a->stays};
    server_start(&server);

    ck_assert_int_eq(healthcheck("::", server.port, &says), a->says ? 1 : 0);

    if (a->says)
        ck_assert_msg(strstr(says, a->says) != NULL, "%s", says);
    else
        ck_assert_str_eq(says, "");
    server_stop(&server);
    ck_assert_ptr_nonnull(strstr(server.request, "GET /healthz HTTP/1.1\r\n"));
    free(says);
}
END_TEST

START_TEST(an_endless_status_line_is_no_answer)
{
    char *says, *endless = xcalloc(5000, 1);
    memset(endless, 'x', 4999);
    struct server server = {.pieces = (const char *const[]){endless, NULL}, .stays = true};
    server_start(&server);

    ck_assert_int_eq(healthcheck("127.0.0.1", server.port, &says), 1);

    server_stop(&server);
    free(says);
    free(endless);
}
END_TEST

START_TEST(silence_lasts_two_seconds)
{
    char *says;
    struct server server = {.pieces = (const char *const[]){"HTTP/1.1 ", NULL}, .stays = true};
    server_start(&server);
    unsigned long long start = now_ms();

    ck_assert_int_eq(healthcheck("0.0.0.0", server.port, &says), 1);

    ck_assert_uint_ge(now_ms() - start, 1900);
    ck_assert_uint_lt(now_ms() - start, 3500);
    ck_assert_ptr_nonnull(strstr(says, "timed out"));
    server_stop(&server);
    free(says);
}
END_TEST

static const char *const addresses[] = {"::", "", "127.0.0.1", "::1", "not-an-address"};

START_TEST(nobody_there_is_unhealthy)
{
    char *says;
    ck_assert_int_eq(healthcheck(addresses[_i], port_reserve(), &says), 1);
    ck_assert_ptr_nonnull(strstr(says, "did not answer"));
    free(says);
}
END_TEST

static const char *const ipv6_addresses[] = {"::", "::1"};

START_TEST(a_service_on_ipv6_alone_is_found)
{
    char *says;
    struct server server = {.pieces = (const char *const[]){"HTTP/1.1 200 OK\r\n\r\n", NULL}};
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    server_listen(&server, (struct sockaddr *)&address, sizeof(address));
    ck_assert_int_eq(pthread_create(&server.thread, NULL, serve, &server), 0);

    ck_assert_int_eq(healthcheck(ipv6_addresses[_i], server.port, &says), 0);

    server_stop(&server);
    free(says);
}
END_TEST

/* Containers are often without. */
static bool ipv6_is_there(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool there = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return there;
}

static Suite *make_suite(void)
{
    Suite *suite = suite_create("cli");
    TCase *options = tcase_create("options"), *health = tcase_create("healthcheck");
    tcase_add_loop_test(options, options_are_understood_in_silence, 0, COUNT(lines));
    tcase_add_loop_test(options, what_is_not_understood_is_named, 0, COUNT(wrongs));
    tcase_add_test(options, help_is_printed_to_standard_output);
    tcase_add_test(options, the_version_is_the_release_or_the_revision);
    tcase_set_timeout(health, 10);
    tcase_add_loop_test(health, only_a_200_is_healthy, 0, COUNT(answers));
    tcase_add_test(health, an_endless_status_line_is_no_answer);
    tcase_add_test(health, silence_lasts_two_seconds);
    tcase_add_loop_test(health, nobody_there_is_unhealthy, 0, COUNT(addresses));
    if (ipv6_is_there())
        tcase_add_loop_test(health, a_service_on_ipv6_alone_is_found, 0, COUNT(ipv6_addresses));
    suite_add_tcase(suite, options);
    suite_add_tcase(suite, health);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
