/* Another wall clock, and names that lead where the test says, for the servers that it starts. */
#include "tests/support/preload.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/mem.h"
#include "tests/support/net.h"

#define CLOCK_LIBRARY "build/release/tests/chaos/wall_clock.so"
#define NAMES_LIBRARY "libnss_wrapper.so"

static volatile int64_t *clock_file;
static char *hosts_path;

/* Two libraries may be wanted; a sanitizer insists on being the first unless it is told. */
static void load_library(const char *library)
{
    const char *others = getenv("LD_PRELOAD"), *asan = getenv("ASAN_OPTIONS");
    char *all = xasprintf("%s%s%s", others ? others : "", others ? ":" : "", library);
    char *told = xasprintf("%s%sverify_asan_link_order=0", asan ? asan : "", asan ? ":" : "");
    setenv("LD_PRELOAD", all, 1);
    setenv("ASAN_OPTIONS", told, 1);
    free(all);
    free(told);
}

void preload_clock(void)
{
    char *directory = directory_new("clock");
    char *path = xasprintf("%s/seconds", directory);
    char *library = realpath(CLOCK_LIBRARY, NULL);
    ck_assert_msg(library != NULL, "%s is not there", CLOCK_LIBRARY);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, sizeof *clock_file), 0);
    void *map = mmap(NULL, sizeof *clock_file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    close(fd);
    clock_file = map;
    setenv("WALL_CLOCK", path, 1);
    load_library(library);
    free(library);
    free(path);
    free(directory);
}

void preload_clock_shift(int64_t seconds)
{
    *clock_file = seconds;
}

/* Renamed into its place: nobody reads half of it, and a new file is read anew at once. */
static void write_hosts(const char *address)
{
    char *draft = xasprintf("%s.new", hosts_path);
    char *text = xasprintf("%s %s %s\n", address, PRELOAD_REDIS_NAME, PRELOAD_BACKEND_NAME);
    file_write(draft, text);
    ck_assert_int_eq(rename(draft, hosts_path), 0);
    free(draft);
    free(text);
}

void preload_names(const char *address)
{
    if (!hosts_path) {
        char *directory = directory_new("names");
        hosts_path = xasprintf("%s/hosts", directory);
        setenv("NSS_WRAPPER_HOSTS", hosts_path, 1);
        load_library(NAMES_LIBRARY);
        free(directory);
    }
    write_hosts(address);
}
