/* What this process writes to standard output or standard error, by way of a file in memory. */
#include "tests/support/capture.h"
#include "lib/mem.h"
#include "lib/must.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void capture_start(struct capture *c, int fd)
{
    fflush(NULL);
    c->fd = fd;
    c->saved = dup(fd);
    c->file = memfd_create("capture", MFD_CLOEXEC);
    MUST(c->saved >= 0 && c->file >= 0);
    MUST(fcntl(c->file, F_SETFL, O_APPEND) == 0); /* threads' writes never overlap */
    MUST(dup2(c->file, fd) == fd);
}

char *capture_stop(struct capture *c)
{
    struct stat st;
    fflush(NULL);
    MUST(dup2(c->saved, c->fd) == c->fd);
    MUST(fstat(c->file, &st) == 0);
    char *text = xcalloc((size_t)st.st_size + 1, 1);
    MUST(pread(c->file, text, (size_t)st.st_size, 0) == st.st_size);
    close(c->saved);
    close(c->file);
    return text;
}
