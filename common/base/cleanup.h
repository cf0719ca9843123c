/* Scope-bound release of what is not arena memory: descriptors, FILEs, heap blocks.
 * `_cleanup_(fn)` runs fn on the variable's address when it leaves scope; `take()` and `take_fd()`
 * hand the value to someone else and disarm the cleanup. */
#ifndef PORTOLAN_BASE_CLEANUP_H
#define PORTOLAN_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Hands over a pointer variable: its value is returned, the variable becomes NULL. */
#define take(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) *take_from_ = &(p);                                                          \
        __typeof__(p) take_value_ = *take_from_;                                                   \
        *take_from_ = NULL;                                                                        \
        take_value_;                                                                               \
    })

static inline int take_fd(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

static inline void closep(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void freep(void *p)
{
    free(*(void **)p);
}

static inline void fclosep(FILE **f)
{
    if (*f)
        (void)fclose(*f);
}

static inline void closedirp(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

#endif
