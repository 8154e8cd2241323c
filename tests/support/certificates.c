/* Certificates for tests of TLS, made by the openssl command. */
#include "tests/support/certificates.h"

#include <check.h>
#include <stdlib.h>

#include "lib/mem.h"
#include "tests/support/process.h"

enum { OPENSSL_MS = 20000 };

static const char script[] =
    "set -eu\n"
    "key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'\n"
    "ca() { openssl req -x509 $key -keyout $1.key -out $1.pem -days 2 -subj /CN=$1; }\n"
    "leaf() { openssl req $key -keyout $1.key -out $1.csr -subj /CN=$1 -addext "
    "subjectAltName=$2\n"
    "    openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -copy_extensions copy -days $3 "
    "-out $1.pem; }\n"
    "ca ca; ca other-ca\n"
    "here=IP:127.0.0.1,DNS:localhost\n"
    "leaf good $here 2; leaf wrong-host DNS:another.test 2; leaf expired $here 0\n";

void certificates_make(const char *directory)
{
    char *output;
    const char *const argv[] = {"sh", "-c", script, NULL};
    const struct process_options o = {
        .name = "openssl", .directory = directory, .argv = argv, .there = true};
    int status = process_run(&o, OPENSSL_MS, &output);
    ck_assert_msg(status == 0, "openssl: %s", output);
    free(output);
}

char *certificates_path(const char *directory, const char *file)
{
    return xasprintf("%s/%s", directory, file);
}
