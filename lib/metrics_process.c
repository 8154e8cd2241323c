/* What the process itself costs, in Prometheus text: read from the kernel at each scrape. */
#include "lib/buf.h"
#include "lib/metrics.h"
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double start_time_s;
static pthread_once_t start_time_once = PTHREAD_ONCE_INIT;

static double now_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Field 22 of /proc/self/stat, in ticks since boot. The name in field 2 may hold anything but its
 * end is the last bracket. */
static unsigned long long read_start_ticks(void)
{
    char line[1024] = "";
    unsigned long long ticks = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return 0;
    if (fgets(line, sizeof(line), file)) {
        const char *at = strrchr(line, ')');
        for (int field = 2; at && field < 22; field++)
            at = strchr(at + 1, ' ');
        if (!at || sscanf(at, "%llu", &ticks) != 1)
            ticks = 0;
    }
    fclose(file);
    return ticks;
}

/* Once: computed anew at each scrape it would waver. */
static void find_start_time(void)
{
    double since_boot = (double)read_start_ticks() / (double)sysconf(_SC_CLK_TCK);
    start_time_s = now_s(CLOCK_REALTIME) - now_s(CLOCK_BOOTTIME) + since_boot;
}

static double cpu_s(void)
{
    struct rusage use = {0};
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void read_memory(unsigned long *ret_virtual, unsigned long *ret_resident)
{
    unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE), total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fscanf(file, "%lu %lu", &total, &resident) != 2)
            total = resident = 0;
        fclose(file);
    }
    *ret_virtual = total * page;
    *ret_resident = resident * page;
}

static unsigned long count_descriptors(void)
{
    unsigned long count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count - 1; /* the directory itself */
}

static unsigned long long max_descriptors(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_number(struct buf *out, const char *name, const char *help,
                       unsigned long long number)
{
    put_head(out, name, "gauge", help);
    buf_printf(out, "%s %llu\n", name, number);
}

/* Versions are plain text; what is not must not break the scrape. */
static void put_label(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s=\"", name);
    for (; *value; value++)
        buf_append(out, *value > ' ' && *value < 0x7F && !strchr("\"\\", *value) ? value : "_", 1);
    buf_puts(out, "\"");
}

static void put_build_info(struct buf *out, const char *service, const char *version,
                           const char *revision)
{
    put_head(out, "tally_build_info", "gauge", "Always 1: the labels say what is running.");
    buf_puts(out, "tally_build_info{");
    put_label(out, "service", service);
    buf_puts(out, ",");
    put_label(out, "version", version);
    buf_puts(out, ",");
    put_label(out, "revision", revision);
    buf_puts(out, "} 1\n");
}

void metrics_write_process(struct buf *out, const char *service, const char *version,
                           const char *revision)
{
    unsigned long virtual, resident;
    read_memory(&virtual, &resident);
    pthread_once(&start_time_once, find_start_time);
    put_head(out, "process_cpu_seconds_total", "counter",
             "User and system CPU time; a whole second a second is one busy core.");
    buf_printf(out, "process_cpu_seconds_total %.6f\n", cpu_s());
    put_number(out, "process_resident_memory_bytes", "Memory in RAM.", resident);
    put_number(out, "process_virtual_memory_bytes", "Address space.", virtual);
    put_number(out, "process_open_fds", "Open descriptors.", count_descriptors());
    put_number(out, "process_max_fds",
               "Most descriptors that may be open: raise it before the open "
               "ones come near.",
               max_descriptors());
    put_head(out, "process_start_time_seconds", "gauge", "When the process started, Unix time.");
    buf_printf(out, "process_start_time_seconds %.2f\n", start_time_s);
    put_build_info(out, service, version, revision);
}
