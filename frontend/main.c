/* tally-frontend: counts visits and serves the page. */
#include "frontend/config.h"
#include "frontend/service.h"
#include "lib/buf.h"
#include "lib/cli.h"

#include <stdio.h>
#include <stdlib.h>

#define EXIT_USAGE 2

static int act(enum cli_wish wish, const struct frontend_config *config)
{
    if (wish == CLI_HEALTHCHECK)
        return cli_healthcheck(config->listen_address, (int)config->port);
    if (wish == CLI_SERVE)
        return service_run(config);
    puts("the settings are valid");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const struct cli_service service = {.name = "tally-frontend",
                                        .purpose = "counts visits and serves the page",
                                        .more_options = "",
                                        .table = frontend_settings,
                                        .table_count = frontend_settings_count};
    enum cli_wish wish = cli_parse(&service, argc, argv, NULL, NULL);
    if (wish == CLI_EXIT_OK || wish == CLI_EXIT_USAGE)
        return wish == CLI_EXIT_OK ? EXIT_SUCCESS : EXIT_USAGE;
    struct frontend_config config;
    struct buf errors = {0};
    int wrong = frontend_config_load(&config, &errors);
    if (wrong > 0)
        fputs(errors.data, stderr);
    int status = wrong > 0 ? EXIT_USAGE : act(wish, &config);
    buf_done(&errors);
    frontend_config_done(&config);
    return status;
}
