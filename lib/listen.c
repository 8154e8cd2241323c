/* A listening TCP socket, on both protocols where the machine has them. */
#include "lib/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include "lib/mem.h"

/* The kernel caps it at net.core.somaxconn. */
enum { BACKLOG = 4096 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* The family, or AF_UNSPEC when the text is no numeric address. */
static int parse_address(const char *text, int port, union address *ret_address)
{
    memset(ret_address, 0, sizeof *ret_address);
    if (uv_ip6_addr(text, port, &ret_address->v6) == 0)
        return AF_INET6;
    if (uv_ip4_addr(text, port, &ret_address->v4) == 0)
        return AF_INET;
    return AF_UNSPEC;
}

static int open_socket(const union address *address)
{
    int family = address->any.sa_family, on = 1, off = 0;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    socklen_t length = family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, &address->any, length) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

int listen_on(const char *text, int port, int *ret_fd, char **ret_reason)
{
    union address address;
    if (parse_address(text, port, &address) == AF_UNSPEC) {
        *ret_reason = xasprintf("Cannot listen on %s: it is no numeric address.", text);
        return UV_EINVAL;
    }
    int fd = open_socket(&address);
    if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && strcmp(text, "::") == 0 &&
        parse_address("0.0.0.0", port, &address) == AF_INET)
        fd = open_socket(&address);
    if (fd < 0) {
        *ret_reason = xasprintf("Cannot listen on %s port %d: %s.", text, port, uv_strerror(fd));
        return fd;
    }
    *ret_fd = fd;
    return 0;
}
