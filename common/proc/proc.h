/* Running other programs: no shell, no inherited descriptors, output captured with a cap, a
 * deadline after which the child is killed and reaped. Thread-safe. */
#ifndef PORTOLAN_PROC_PROC_H
#define PORTOLAN_PROC_PROC_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

/* Runs argv[0] (searched in PATH) and waits. 0 with *ret_exit the exit status (128+signal when
 * killed); ret_output (may be NULL) gets stdout and stderr together, cut at 64 KiB. */
MUST_CHECK int proc_run(struct arena *a, const char *const argv[], int64_t timeout_ms,
                        int *ret_exit, char **ret_output, struct error *err);
/* The same; a non-zero exit is a failure whose cause holds the program's name and output. */
MUST_CHECK int proc_must(struct arena *a, const char *const argv[], int64_t timeout_ms,
                         struct error *err);

/* A pipe that becomes readable when SIGTERM or SIGINT arrives; SIGPIPE is ignored. Call once in
 * main before threads start. */
MUST_CHECK int proc_stop_fd(int *ret_fd, struct error *err);
/* Writes "\n" to descriptor fd and closes it (s6 and systemd-style readiness); fd < 0: nothing. */
void proc_notify_ready(int fd);

#endif
