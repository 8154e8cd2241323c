/* What this process writes to standard output or standard error. */
#pragma once

struct capture {
    int fd;    /* the descriptor that is redirected */
    int saved; /* where it led before */
    int file;  /* where it leads meanwhile */
};

/* From now on what is written to `fd` is kept. */
void capture_start(struct capture *c, int fd);
/* Undoes the redirection and returns what was written; the caller frees it. */
char *capture_stop(struct capture *c);
