/* A library that is loaded into a server under test (LD_PRELOAD): its wall clock is shifted by as
 * many seconds as stand in the file that WALL_CLOCK names, from the moment they stand there.
 *
 * DESIGN. The file is a mapped int64_t, so that a jump is one store by the test and no call of the
 * server's notices how it came. The system is asked directly: a memory allocator asks for the time
 * before there is memory to look anything up. The clocks that only go forward stay as they are,
 * which is what becomes of them when somebody sets a machine's clock. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t shift_s(void)
{
    static const volatile int64_t *shared;
    const char *path = shared ? NULL : getenv("WALL_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, sizeof *shared, PROT_READ, MAP_SHARED, fd, 0);
        shared = map == MAP_FAILED ? NULL : map;
        close(fd);
    }
    return shared ? *shared : 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    long error = syscall(SYS_clock_gettime, clock, t);
    if (error == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        t->tv_sec += shift_s();
    return (int)error;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret_t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_t)
        *ret_t = now.tv_sec;
    return now.tv_sec;
}
