/* Certificates for tests of TLS, made by the openssl command. */
#pragma once

/* Makes in `directory`, each as NAME.pem (with its key beside it, NAME.key):
 *     ca          who signs all others but the last
 *     good        for 127.0.0.1 and localhost
 *     wrong-host  for another.test
 *     expired     for 127.0.0.1 and localhost, until the moment it was made
 *     other-ca    a CA that signed nothing
 * About a tenth of a second. */
void certificates_make(const char *directory);
/* The path of a file there; the caller frees it. */
char *certificates_path(const char *directory, const char *file);
