/* Named points where a test makes the program crash, fail or wait. Built in only with the option
 * FAILPOINTS; otherwise FAILPOINT() is false and nothing is left of it.
 *
 * FAILPOINT("blob.after_rename") is true, with errno set, when the point is armed to fail there: so
 * it stands in the condition of the step it is about. Points register themselves; the environment
 * arms them, PORTOLAN_FAILPOINTS:
 *
 *   list                          print every point of the program, one a line, and exit
 *   NAME=crash[:after=N]          SIGKILL at hit N + 1
 *   NAME=error[:after=N][:times=N][:errno=N]   fail (EIO unless told otherwise), forever or N times
 *   NAME=delay[:after=N][:times=N][:ms=N]      sleep (100 ms)
 *
 * Several are separated by commas. A name that does not exist ends the program: a test that arms
 * nothing proves nothing. */
#ifndef PORTOLAN_BASE_FAILPOINT_H
#define PORTOLAN_BASE_FAILPOINT_H

#include <stdbool.h>

#ifdef FAILPOINTS

#include <stdatomic.h>

enum failpoint_mode { FAILPOINT_OFF, FAILPOINT_CRASH, FAILPOINT_ERROR, FAILPOINT_DELAY };

struct failpoint {
    const char *name;
    enum failpoint_mode mode;
    long after, times; /* times < 0: forever */
    int number;        /* errno, or milliseconds */
    _Atomic long hits;
};

bool failpoint_hit(struct failpoint *point);

/* Pointers, so that the section is an array whatever the alignment of the struct. */
#define FAILPOINT(what)                                                                            \
    (__extension__({                                                                               \
        static struct failpoint point_ = { .name = (what) };                                       \
        static struct failpoint *const entry_                                                      \
            __attribute__((section("failpoints"), used)) = &point_;                                \
        failpoint_hit(entry_);                                                                     \
    }))

#else

#define FAILPOINT(what) (false)

#endif

#endif
