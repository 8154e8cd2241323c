/* What both services' command lines have in common. */
#pragma once

#include <stddef.h>
#include "lib/config.h"

struct cli_service {
    const char *name;         /* tally-frontend */
    const char *purpose;      /* one sentence for --help */
    const char *more_options; /* lines of --help for options of the service's own, or "" */
    const struct config_setting *table;
    size_t table_count;
};

/* What the command line asks for. */
enum cli_wish {
    CLI_SERVE,
    CLI_CHECK_CONFIG,
    CLI_HEALTHCHECK,
    CLI_OTHER,
    CLI_EXIT_OK,
    CLI_EXIT_USAGE
};

/* Answers --help and --version (printed to standard output: CLI_EXIT_OK). An unknown option, or an
 * argument, is named on standard error: CLI_EXIT_USAGE (exit status 2). An option listed in
 * `others` (NULL-ended, "--migrate") is CLI_OTHER, and each is set in *ret_others as bit 1 << i. */
enum cli_wish cli_parse(const struct cli_service *service, int argc, char **argv,
                        const char *const *others, unsigned *ret_others);
/* GET /healthz of the service on 127.0.0.1 (or listen_address, where that is a specific one): 0
 * when it answers 200 within two seconds, else 1 and a sentence on standard error. */
int cli_healthcheck(const char *listen_address, int port);
