/* socket.c -- the listening socket and its error messages. */
#include "serve/server.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static rt_status refused(int err, const char *host, int64_t port)
{
    if (err == EADDRINUSE) RT_FAIL(RT_ENET, "port %lld is in use; choose another with --port or 0 for a free one", (long long)port);
    if (err == EACCES)
        RT_FAIL(RT_ENET, "port %lld requires more privileges; choose one above 1023 with --port or 0 for a free one", (long long)port);
    RT_FAIL(RT_ENET, "cannot listen on %s, port %lld: %s; --host must be an address of this machine", host, (long long)port, strerror(err));
}

static rt_status listen_at(int fd, const struct addrinfo *a, const char *host, int64_t port)
{
    const int yes = 1, idle = 60, apart = 10, times = 3; /* accepted sockets inherit these: a dead peer is detected after 90 s */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &apart, sizeof apart);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
    if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, SOMAXCONN)) return refused(errno, host, port);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC)) return refused(errno, host, port);
    return RT_OK;
}

static int64_t port_of(int fd)
{
    struct sockaddr_storage a   = {0};
    socklen_t               len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len)) return -1;
    if (a.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)(void *)&a)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&a)->sin_port);
}

rt_status sv_listen(int *listener, const char *host, int64_t *port)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char            service[24];
    RT_CHECK(*port >= 0 && *port <= 65535, RT_EINVAL, "--port must be from 0 (a free one) to 65535, found %lld", (long long)*port);
    snprintf(service, sizeof service, "%lld", (long long)*port);
    const int bad = getaddrinfo(host, service, &hints, &found);
    RT_CHECK(!bad, RT_ENET, "--host %s is not an address of this machine: %s", host, gai_strerror(bad));
    const int fd = socket(found->ai_family, SOCK_STREAM, 0);
    rt_status st = fd < 0 ? refused(errno, host, *port) : listen_at(fd, found, host, *port);
    freeaddrinfo(found);
    if (st == RT_OK) {
        *port     = port_of(fd);
        *listener = fd;
    } else if (fd >= 0) {
        close(fd);
    }
    return st;
}
