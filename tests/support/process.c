/* Real processes under a test: start, signal, read what they said, and how they ended. */
#include "tests/support/process.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/mem.h"
#include "tests/support/net.h"

enum { LOOK_EVERY_MS = 2, TAIL = 1500, ENV_MAX = 96 };

/* Between fork and exec: only what a signal handler may do too. */
static void become(const struct process_options *o, char *const *env, int log_fd, pid_t parent)
{
    int null_fd = open("/dev/null", O_RDONLY);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126); /* the test died before prctl: nobody would end this one */
    dup2(null_fd, 0);
    dup2(log_fd, 1);
    dup2(log_fd, 2);
    if (o->there && chdir(o->directory) != 0)
        _exit(126);
    setpgid(0, 0); /* a Ctrl-C or a time-out of the test is not for the servers */
    execvpe(o->argv[0], (char *const *)o->argv, env);
    dprintf(2, "cannot run %s: %s\n", o->argv[0], strerror(errno));
    _exit(127);
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return n == strcspn(b, "=") && strncmp(a, b, n) == 0;
}

static void env_put(const char **env, const char *setting)
{
    size_t i = 0;
    while (env[i] && !same_name(env[i], setting))
        i++;
    ck_assert_uint_lt(i, ENV_MAX - 1);
    env[i] = setting;
}

/* What a service is told, and what the tools under it need: sanitizers and coverage. */
static void env_make(const char **env, const struct process_options *o)
{
    extern char **environ;
    static const char *const kept[] = {
        "PATH=",        "HOME=",   "TSAN_OPTIONS=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
        "GCOV_PREFIX=", "TMPDIR=", "LD_PRELOAD=",   "WALL_CLOCK=",   "NSS_WRAPPER_HOSTS="};
    for (char **e = environ; *e; e++)
        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++)
            if (strncmp(*e, kept[k], strlen(kept[k])) == 0)
                env_put(env, *e);
    for (size_t i = 0; o->env && o->env[i]; i++)
        env_put(env, o->env[i]);
    for (size_t i = 0; o->more_env && o->more_env[i]; i++)
        env_put(env, o->more_env[i]);
}

struct process *process_start(const struct process_options *o)
{
    const char *env[ENV_MAX] = {NULL};
    struct process *p = xcalloc(1, sizeof *p);
    p->name = xstrdup(o->name);
    p->log_path = xasprintf("%s/%s.log", o->directory, o->name);
    env_make(env, o);
    int log_fd = open(p->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ck_assert_msg(log_fd >= 0, "%s: %s", p->log_path, strerror(errno));
    pid_t parent = getpid();
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* what its processes leave behind is the test's to reap */
    p->pid = fork();
    ck_assert_int_ge(p->pid, 0);
    if (p->pid == 0)
        become(o, (char *const *)env, log_fd, parent);
    setpgid(p->pid, p->pid); /* whoever of the two comes first */
    close(log_fd);
    return p;
}

static bool reap(struct process *p, int flags)
{
    if (p->pid == 0)
        return true;
    pid_t got;
    do
        got = waitpid(p->pid, &p->status, flags);
    while (got < 0 && errno == EINTR);
    if (got == p->pid)
        p->pid = 0;
    return p->pid == 0;
}

void process_kill(struct process *p)
{
    if (p->pid == 0)
        return;
    pid_t group = p->pid;
    kill(-group, SIGKILL);
    reap(p, 0);
    while (waitpid(-group, NULL, 0) > 0 || errno == EINTR)
        continue;
    p->frozen = false;
}

void process_free(struct process *p)
{
    if (!p)
        return;
    process_kill(p);
    free(p->name);
    free(p->log_path);
    free(p);
}

void process_freeze(struct process *p)
{
    int status;
    ck_assert_int_eq(kill(-p->pid, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(p->pid, &status, WUNTRACED), p->pid);
    ck_assert_msg(WIFSTOPPED(status), "%s did not stop", p->name);
    p->frozen = true;
}

void process_thaw(struct process *p)
{
    ck_assert_int_eq(kill(-p->pid, SIGCONT), 0);
    p->frozen = false;
}

void process_terminate(struct process *p)
{
    if (p->pid != 0)
        ck_assert_int_eq(kill(p->pid, SIGTERM), 0);
}

bool process_is_running(struct process *p)
{
    return !reap(p, WNOHANG);
}

/* The end of what it wrote, for a message. */
static const char *tail(const struct process *p)
{
    static char text[TAIL + 1];
    char *all = process_output(p);
    size_t length = strlen(all);
    snprintf(text, sizeof text, "%s", length > TAIL ? all + length - TAIL : all);
    free(all);
    return text;
}

int process_wait(struct process *p, unsigned deadline_ms)
{
    unsigned long long end = now_ms() + deadline_ms;
    while (!reap(p, WNOHANG)) {
        ck_assert_msg(now_ms() < end, "%s did not end within %u ms; its last words:\n%s", p->name,
                      deadline_ms, tail(p));
        pause_ms(LOOK_EVERY_MS);
    }
    return WIFEXITED(p->status) ? WEXITSTATUS(p->status) : 128 + WTERMSIG(p->status);
}

char *process_output(const struct process *p)
{
    char *text = file_read(p->log_path);
    return text ? text : xstrdup("");
}

void process_wait_output(struct process *p, const char *text, unsigned deadline_ms)
{
    unsigned long long end = now_ms() + deadline_ms;
    for (;;) {
        bool running = process_is_running(p); /* asked first: what it wrote before ending counts */
        char *all = process_output(p);
        bool found = strstr(all, text) != NULL;
        free(all);
        if (found)
            return;
        ck_assert_msg(running && now_ms() < end, "%s did not say \"%s\" but:\n%s", p->name, text,
                      tail(p));
        pause_ms(LOOK_EVERY_MS);
    }
}

void process_wait_port(struct process *p, int port, unsigned deadline_ms)
{
    unsigned long long end = now_ms() + deadline_ms;
    int fd;
    while ((fd = net_connect(port)) < 0) {
        ck_assert_msg(process_is_running(p) && now_ms() < end,
                      "%s does not take connections on %d; its last words:\n%s", p->name, port,
                      tail(p));
        pause_ms(LOOK_EVERY_MS);
    }
    close(fd);
}

int process_run(const struct process_options *o, unsigned deadline_ms, char **ret_output)
{
    struct process *p = process_start(o);
    int status = process_wait(p, deadline_ms);
    if (ret_output)
        *ret_output = process_output(p);
    process_free(p);
    return status;
}

/* schedstat has nanoseconds, for one thread a file; /proc/PID/stat only hundredths of a second. */
unsigned long long process_cpu_ns(const struct process *p)
{
    unsigned long long sum = 0, one;
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", (int)p->pid);
    DIR *tasks = opendir(path);
    ck_assert_msg(tasks != NULL, "%s: %s", path, strerror(errno));
    for (struct dirent *d; (d = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", (int)p->pid, d->d_name);
        char *text = d->d_name[0] == '.' ? NULL : file_read(path);
        if (text && sscanf(text, "%llu", &one) == 1)
            sum += one;
        free(text);
    }
    closedir(tasks);
    return sum;
}

static unsigned long memory_kib(const struct process *p, const char *file, const char *name)
{
    unsigned long kib = 0;
    char *path = xasprintf("/proc/%d/%s", (int)p->pid, file);
    char *text = file_read(path);
    char *line = text ? strstr(text, name) : NULL;
    ck_assert_msg(line && sscanf(line + strlen(name), "%lu", &kib) == 1, "%s has no %s", path,
                  name);
    free(text);
    free(path);
    return kib;
}

unsigned long process_rss_kib(const struct process *p)
{
    return memory_kib(p, "status", "\nVmRSS:");
}

unsigned long process_pss_kib(const struct process *p)
{
    return memory_kib(p, "smaps_rollup", "\nPss:");
}

unsigned long process_anonymous_kib(const struct process *p)
{
    return memory_kib(p, "smaps_rollup", "\nAnonymous:");
}

unsigned process_descriptors(const struct process *p)
{
    unsigned count = 0;
    char *path = xasprintf("/proc/%d/fd", (int)p->pid);
    DIR *directory = opendir(path);
    ck_assert_msg(directory != NULL, "%s is gone", p->name);
    for (struct dirent *d; (d = readdir(directory)) != NULL;)
        count += d->d_name[0] != '.';
    closedir(directory);
    free(path);
    return count;
}
