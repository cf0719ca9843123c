/* Arming failpoints from the environment, before main, and acting on their hits. */
#include "common/base/failpoint.h"

#ifdef FAILPOINTS

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DELAY_MS 100

/* The linker makes these; absent in a program without a point. */
extern struct failpoint *const __start_failpoints[] __attribute__((weak));
extern struct failpoint *const __stop_failpoints[] __attribute__((weak));

static void refuse(const char *why, const char *what)
{
    (void)fprintf(stderr, "PORTOLAN_FAILPOINTS: %s: %s\n", why, what);
    _exit(2);
}

static size_t count_points(void)
{
    return __start_failpoints ? (size_t)(__stop_failpoints - __start_failpoints) : 0;
}

static struct failpoint *find(const char *name)
{
    for (size_t i = 0; i < count_points(); i++) {
        if (strcmp(__start_failpoints[i]->name, name) == 0)
            return __start_failpoints[i];
    }
    refuse("there is no point", name);
    return NULL;
}

static void set_mode(struct failpoint *p, const char *mode)
{
    p->times = -1;
    if (strcmp(mode, "crash") == 0) {
        p->mode = FAILPOINT_CRASH;
    } else if (strcmp(mode, "error") == 0) {
        p->mode = FAILPOINT_ERROR;
        p->number = EIO;
    } else if (strcmp(mode, "delay") == 0) {
        p->mode = FAILPOINT_DELAY;
        p->number = DELAY_MS;
    } else {
        refuse("there is no mode", mode);
    }
}

static void set_option(struct failpoint *p, const char *option)
{
    const char *equals = strchr(option, '=');
    char *end = NULL;
    long value = equals ? strtol(equals + 1, &end, 10) : 0;

    if (!equals || end == equals + 1 || *end != '\0' || value < 0 || value > 1000000)
        refuse("not a number", option);
    else if (strncmp(option, "after=", 6) == 0)
        p->after = value;
    else if (strncmp(option, "times=", 6) == 0)
        p->times = value;
    else if (strncmp(option, "errno=", 6) == 0 || strncmp(option, "ms=", 3) == 0)
        p->number = (int)value;
    else
        refuse("there is no option", option);
}

static void arm(char *entry)
{
    char *at = strchr(entry, '='), *part = NULL;

    if (!at) {
        refuse("NAME=MODE is expected", entry);
        return;
    }
    *at = '\0';
    struct failpoint *p = find(entry);
    part = strtok_r(at + 1, ":", &at);
    set_mode(p, part ? part : "");
    while ((part = strtok_r(NULL, ":", &at)))
        set_option(p, part);
}

__attribute__((constructor)) static void arm_all(void)
{
    const char *text = getenv("PORTOLAN_FAILPOINTS");
    char *copy, *rest = NULL;

    if (!text || !*text)
        return;
    if (strcmp(text, "list") == 0) {
        for (size_t i = 0; i < count_points(); i++)
            (void)puts(__start_failpoints[i]->name);
        (void)fflush(stdout);
        _exit(0);
    }
    copy = strdup(text);
    if (!copy)
        abort();
    for (char *entry = strtok_r(copy, ",", &rest); entry; entry = strtok_r(NULL, ",", &rest))
        arm(entry);
    free(copy);
}

bool failpoint_hit(struct failpoint *p)
{
    if (p->mode == FAILPOINT_OFF)
        return false;
    long hit = atomic_fetch_add(&p->hits, 1) - p->after;
    if (hit < 0 || (p->times >= 0 && hit >= p->times))
        return false;
    if (p->mode == FAILPOINT_CRASH)
        (void)kill(getpid(), SIGKILL);
    if (p->mode == FAILPOINT_DELAY) {
        struct timespec pause = { p->number / 1000, p->number % 1000 * 1000000L };
        (void)nanosleep(&pause, NULL);
        return false;
    }
    errno = p->number;
    return p->mode == FAILPOINT_ERROR;
}

#else

/* A translation unit may not be empty. */
typedef int failpoint_is_off;

#endif
