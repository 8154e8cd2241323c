/* Real processes under a test: start, signal, read what they said, and how they ended. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* DESIGN. A process belongs to the test process that started it and dies with it, however that
 * ends (PR_SET_PDEATHSIG). All of its output goes to one file. Whatever does not happen within its
 * deadline fails the test with the end of that file in the message. */
struct process {
    char *name;
    char *log_path;
    pid_t pid;   /* 0: ended and reaped */
    int status;  /* as waitpid gave it, once pid is 0 */
    bool frozen; /* SIGSTOP sent and no SIGCONT since */
};

struct process_options {
    const char *name;            /* for messages and the log's file name */
    const char *directory;       /* where the log goes; also the working directory when `there` */
    const char *const *argv;     /* argv[0] is looked up in PATH; NULL-ended */
    const char *const *env;      /* NULL-ended NAME=VALUE: all that it gets but PATH and HOME */
    const char *const *more_env; /* more of them, or NULL; later ones win */
    bool there;
};

struct process *process_start(const struct process_options *options);
/* Kills what still runs, reaps it, frees. NULL is fine. */
void process_free(struct process *p);

/* The signals; kill, freeze and thaw mean all processes that it has started too. kill also reaps.
 */
void process_kill(struct process *p);
void process_freeze(struct process *p);
void process_thaw(struct process *p);
void process_terminate(struct process *p);
/* Waits until it has ended: its exit status, or 128 + the signal that ended it. */
int process_wait(struct process *p, unsigned deadline_ms);
bool process_is_running(struct process *p);

/* All that it wrote so far; the caller frees it. */
char *process_output(const struct process *p);
/* Waits until `text` stands in the output. */
void process_wait_output(struct process *p, const char *text, unsigned deadline_ms);
/* Waits until 127.0.0.1:port takes connections. */
void process_wait_port(struct process *p, int port, unsigned deadline_ms);
/* Runs to the end and returns the exit status; *ret_output, when asked for, is the caller's. */
int process_run(const struct process_options *options, unsigned deadline_ms, char **ret_output);

/* User and system time of all its threads in nanoseconds. Memory in KiB: resident; the same with
 * what it shares with others only by its share; what is its own and of no file. Open descriptors.
 */
unsigned long long process_cpu_ns(const struct process *p);
unsigned long process_rss_kib(const struct process *p);
unsigned long process_pss_kib(const struct process *p);
unsigned long process_anonymous_kib(const struct process *p);
unsigned process_descriptors(const struct process *p);
