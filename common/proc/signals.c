/* Stopping and readiness, as a supervisor expects them. */
#include "common/proc/proc.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "common/base/error.h"

/* A signalfd needs no handler and no global; programs we start get an empty signal mask again. */
int proc_stop_fd(int *ret_fd, struct error *err)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigset_t stops;
    int rc, fd;

    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGINT);
    if (sigaction(SIGPIPE, &ignore, NULL))
        return fail_errno(err, "ignore SIGPIPE");
    rc = pthread_sigmask(SIG_BLOCK, &stops, NULL);
    if (rc) {
        errno = rc;
        return fail_errno(err, "block SIGTERM");
    }
    fd = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return fail_errno(err, "signalfd");
    *ret_fd = fd;
    return 0;
}

void proc_notify_ready(int fd)
{
    ssize_t n;

    if (fd < 0)
        return;
    do
        n = write(fd, "\n", 1);
    while (n < 0 && errno == EINTR);
    (void)close(fd);
}
