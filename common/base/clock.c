/* Clocks, and the three spellings of time that protocols ask for. */
#include "common/base/clock.h"

#include <errno.h>
#include <time.h>

#include "common/base/arena.h"

static const char *const day_names[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const month_names[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

static int64_t read_us(clockid_t id)
{
    struct timespec now;

    (void)clock_gettime(id, &now); /* cannot fail for the clocks asked for here */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Broken-down UTC; returns the microseconds within the second. */
static int64_t break_down(int64_t wall_us, struct tm *ret)
{
    int64_t us = wall_us % 1000000;

    if (us < 0)
        us += 1000000;
    time_t seconds = (wall_us - us) / 1000000;
    *ret = (struct tm){ 0 };
    (void)gmtime_r(&seconds, ret); /* every int64 of microseconds has a year that fits */
    return us;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_wall_ms(void)
{
    return clock_wall_us() / 1000;
}

int64_t clock_wall_s(void)
{
    return clock_wall_us() / 1000000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

char *clock_arm(struct arena *a, int64_t wall_us)
{
    struct tm t;
    int64_t us = break_down(wall_us, &t);

    return arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02d.%06d0Z", t.tm_year + 1900, t.tm_mon + 1,
                        t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)us);
}

char *clock_rfc3339(struct arena *a, int64_t wall_us)
{
    struct tm t;

    (void)break_down(wall_us, &t);
    return arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02dZ", t.tm_year + 1900, t.tm_mon + 1,
                        t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
}

char *clock_http(struct arena *a, int64_t wall_us)
{
    struct tm t;

    (void)break_down(wall_us, &t);
    return arena_printf(a, "%s, %02d %s %04d %02d:%02d:%02d GMT", day_names[t.tm_wday], t.tm_mday,
                        month_names[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

/* Reads exactly `digits` decimal digits and moves *s behind them. */
static bool read_digits(const char **s, int digits, int *ret)
{
    int n = 0;

    for (int i = 0; i < digits; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        n = 10 * n + (**s - '0');
    }
    *ret = n;
    return true;
}

static bool read_mark(const char **s, char mark)
{
    if (**s != mark && !(mark == 'T' && **s == 't'))
        return false;
    (*s)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* ".123456789": truncated to microseconds. */
static bool read_fraction(const char **s, int64_t *ret_us)
{
    int64_t scale = 100000;
    const char *start;

    *ret_us = 0;
    if (**s != '.')
        return true;
    start = ++*s;
    for (; **s >= '0' && **s <= '9'; (*s)++, scale /= 10)
        *ret_us += (**s - '0') * scale;
    return *s > start;
}

/* "Z", "+02:00", or nothing, which is read as UTC. */
static bool read_offset(const char **s, int64_t *ret_seconds)
{
    int hours, minutes;

    *ret_seconds = 0;
    if (**s == '\0')
        return true;
    if (**s == 'Z' || **s == 'z') {
        (*s)++;
        return **s == '\0';
    }
    if (**s != '+' && **s != '-')
        return false;
    int64_t sign = **s == '-' ? -1 : 1;
    (*s)++;
    if (!read_digits(s, 2, &hours) || !read_mark(s, ':') || !read_digits(s, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return **s == '\0';
}

bool clock_parse(const char *s, int64_t *ret_wall_us)
{
    struct tm t = { 0 };
    int64_t us, offset;

    if (!s || !read_digits(&s, 4, &t.tm_year) || !read_mark(&s, '-') ||
        !read_digits(&s, 2, &t.tm_mon) || !read_mark(&s, '-') || !read_digits(&s, 2, &t.tm_mday) ||
        !read_mark(&s, 'T') || !read_digits(&s, 2, &t.tm_hour) || !read_mark(&s, ':') ||
        !read_digits(&s, 2, &t.tm_min) || !read_mark(&s, ':') || !read_digits(&s, 2, &t.tm_sec) ||
        !read_fraction(&s, &us) || !read_offset(&s, &offset))
        return false;
    /* A leap second (60) is the second after it, as POSIX time has none. */
    if (t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1 ||
        t.tm_mday > days_in_month(t.tm_year, t.tm_mon) || t.tm_hour > 23 || t.tm_min > 59 ||
        t.tm_sec > 60)
        return false;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *ret_wall_us = ((int64_t)timegm(&t) - offset) * 1000000 + us;
    return true;
}

void clock_sleep_ms(int64_t ms)
{
    if (ms <= 0)
        return;
    int64_t until_us = clock_mono_us() + ms * 1000;
    struct timespec until = { .tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}
