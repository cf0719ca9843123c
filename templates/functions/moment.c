/* Calendar arithmetic, parsing and .NET format strings. */
#include "templates/functions/moment.h"

#include <string.h>

#include "common/base/str.h"

#define SECONDS_MIN (-62135596800LL) /* 0001-01-01 */
#define SECONDS_MAX 253402300799LL   /* 9999-12-31T23:59:59 */
#define TICKS       10000000

static const char *const days[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                    "Thursday", "Friday", "Saturday" };
static const char *const months[] = { "January",   "February", "March",    "April",
                                      "May",       "June",     "July",     "August",
                                      "September", "October",  "November", "December" };

static bool is_leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

int moment_month_days(int year, int month)
{
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return month == 2 && is_leap(year) ? 29 : lengths[month - 1];
}

/* Days since 1970-01-01 of a proleptic Gregorian date. */
static int64_t days_from_date(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void moment_calendar(int64_t seconds, struct calendar *ret)
{
    int64_t day = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        day--;
    }
    ret->hour = (int)(rest / 3600);
    ret->minute = (int)(rest / 60 % 60);
    ret->second = (int)(rest % 60);
    ret->weekday = (int)(((day + 4) % 7 + 7) % 7);
    int64_t z = day + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    ret->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    ret->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    ret->year = (int)(yoe + era * 400 + (ret->month <= 2));
}

bool moment_from_calendar(const struct calendar *c, int64_t *ret_seconds)
{
    *ret_seconds = days_from_date(c->year, c->month, c->day) * 86400 + c->hour * 3600 +
                   c->minute * 60 + c->second;
    return *ret_seconds >= SECONDS_MIN && *ret_seconds <= SECONDS_MAX;
}

static bool digits(const char **p, int count, int *ret)
{
    int n = 0;
    for (int i = 0; i < count; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        n = n * 10 + (**p - '0');
    }
    *ret = n;
    return true;
}

static bool skip(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

static bool parse_fraction(const char **p, int32_t *ret)
{
    int32_t unit = TICKS / 10;
    if (**p < '0' || **p > '9')
        return false;
    for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
        *ret += (**p - '0') * unit;
    return true;
}

/* Z, ±hh:mm, ±hhmm or nothing; seconds to subtract. */
static bool parse_offset(const char **p, int *ret)
{
    int hours = 0, minutes = 0;
    *ret = 0;
    if (!**p || skip(p, 'Z') || skip(p, 'z'))
        return true;
    char sign = **p;
    if (sign != '+' && sign != '-')
        return false;
    (*p)++;
    if (!digits(p, 2, &hours))
        return false;
    skip(p, ':');
    if (**p && !digits(p, 2, &minutes))
        return false;
    if (hours > 14 || minutes > 59)
        return false;
    *ret = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return true;
}

/* The time after the date; basic: hhmmss. */
static bool parse_time(const char **p, bool is_basic, struct calendar *c, int32_t *ticks)
{
    if (!digits(p, 2, &c->hour) || !(is_basic || skip(p, ':')) || !digits(p, 2, &c->minute))
        return false;
    bool has_seconds = is_basic ? **p >= '0' && **p <= '9' : **p == ':';
    if (has_seconds && !is_basic)
        (*p)++;
    if (has_seconds && !digits(p, 2, &c->second))
        return false;
    if (has_seconds && skip(p, '.') && !parse_fraction(p, ticks))
        return false;
    return c->hour < 24 && c->minute < 60 && c->second < 60;
}

bool moment_parse(const char *s, struct moment *ret, enum moment_shape *ret_shape)
{
    struct calendar c = { 0 };
    const char *p = s;
    int offset = 0;
    *ret = (struct moment){ 0 };
    if (!digits(&p, 4, &c.year))
        return false;
    bool is_basic = *p != '-';
    if (!(is_basic || skip(&p, '-')) || !digits(&p, 2, &c.month) || !(is_basic || skip(&p, '-')) ||
        !digits(&p, 2, &c.day))
        return false;
    if (c.year < 1 || c.month < 1 || c.month > 12 || c.day < 1 ||
        c.day > moment_month_days(c.year, c.month))
        return false;
    *ret_shape = SHAPE_OTHER;
    if (*p == 'T' || *p == 't' || *p == ' ') {
        if (*p != ' ')
            *ret_shape = is_basic ? SHAPE_BASIC : SHAPE_EXTENDED;
        p++;
        if (!parse_time(&p, is_basic, &c, &ret->ticks))
            return false;
        while (*p == ' ')
            p++;
    }
    if (!parse_offset(&p, &offset) || *p)
        return false;
    if (!moment_from_calendar(&c, &ret->seconds))
        return false;
    ret->seconds -= offset;
    return ret->seconds >= SECONDS_MIN && ret->seconds <= SECONDS_MAX;
}

static const char *standard_format(char c)
{
    switch (c) {
    case 'd':
        return "MM/dd/yyyy";
    case 'D':
        return "dddd, dd MMMM yyyy";
    case 'f':
        return "dddd, dd MMMM yyyy HH:mm";
    case 'F':
    case 'U':
        return "dddd, dd MMMM yyyy HH:mm:ss";
    case 'g':
        return "MM/dd/yyyy HH:mm";
    case 'G':
        return "MM/dd/yyyy HH:mm:ss";
    case 'm':
    case 'M':
        return "MMMM dd";
    case 'o':
    case 'O':
        return "yyyy'-'MM'-'dd'T'HH':'mm':'ss'.'fffffffK";
    case 'r':
    case 'R':
        return "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'";
    case 's':
        return "yyyy'-'MM'-'dd'T'HH':'mm':'ss";
    case 't':
        return "HH:mm";
    case 'T':
        return "HH:mm:ss";
    case 'u':
        return "yyyy'-'MM'-'dd HH':'mm':'ss'Z'";
    case 'y':
    case 'Y':
        return "yyyy MMMM";
    default:
        return NULL;
    }
}

static void put_fraction(struct str *out, int32_t ticks, size_t n, bool drops_zeros)
{
    char text[8];
    snprintf(text, sizeof(text), "%07d", ticks);
    while (drops_zeros && n && text[n - 1] == '0')
        n--;
    str_append(out, text, n);
}

static void put_name(struct str *out, const char *name, size_t n)
{
    str_append(out, name, n == 3 ? 3 : strlen(name));
}

/* n equal letters c. */
static bool put_field(struct str *out, const struct moment *m, const struct calendar *t, char c,
                      size_t n)
{
    int two = n > 1 ? 2 : 1;
    int twelve = t->hour % 12 ? t->hour % 12 : 12;
    switch (c) {
    case 'y':
        if (n <= 2)
            str_printf(out, "%0*d", two, t->year % 100);
        else
            str_printf(out, "%0*d", (int)n, t->year);
        return true;
    case 'M':
        if (n > 2)
            put_name(out, months[t->month - 1], n);
        else
            str_printf(out, "%0*d", two, t->month);
        return true;
    case 'd':
        if (n > 2)
            put_name(out, days[t->weekday], n);
        else
            str_printf(out, "%0*d", two, t->day);
        return true;
    case 'H':
        str_printf(out, "%0*d", two, t->hour);
        return true;
    case 'h':
        str_printf(out, "%0*d", two, twelve);
        return true;
    case 'm':
        str_printf(out, "%0*d", two, t->minute);
        return true;
    case 's':
        str_printf(out, "%0*d", two, t->second);
        return true;
    case 'f':
    case 'F':
        put_fraction(out, m->ticks, n > 7 ? 7 : n, c == 'F');
        return n <= 7;
    case 't':
        str_append(out, t->hour < 12 ? "AM" : "PM", n > 1 ? 2 : 1);
        return true;
    case 'g':
        str_puts(out, "A.D.");
        return true;
    case 'z':
        str_puts(out, n == 1 ? "+0" : n == 2 ? "+00" : "+00:00");
        return true;
    case 'K':
        str_puts(out, "Z");
        return true;
    default:
        return false;
    }
}

bool moment_format(struct str *out, const struct moment *m, const char *format)
{
    struct calendar t;
    moment_calendar(m->seconds, &t);
    if (format[0] && !format[1]) {
        format = standard_format(format[0]);
        if (!format)
            return false;
    }
    for (const char *p = format; *p;) {
        if (*p == '\'' || *p == '"') {
            const char *end = strchr(p + 1, *p);
            if (!end)
                return false;
            str_append(out, p + 1, (size_t)(end - p - 1));
            p = end + 1;
        } else if (*p == '\\') {
            if (!p[1])
                return false;
            str_putc(out, p[1]);
            p += 2;
        } else if (*p == '%' && p[1]) {
            p++;
        } else if (strchr("yMdHhmsfFtgzK", *p)) {
            size_t n = strspn(p, (char[]){ *p, '\0' });
            if (n > 32 || !put_field(out, m, &t, *p, *p == 'K' ? 1 : n))
                return false;
            p += *p == 'K' ? 1 : n;
        } else {
            str_putc(out, *p++);
        }
    }
    return true;
}

struct duration {
    int64_t months;
    int64_t seconds;
    int64_t ticks;
};

/* One "12Y" or "1.5S"; false when malformed or absurdly large. */
static bool duration_part(const char **p, bool in_time, struct duration *d)
{
    int64_t n = 0;
    int32_t ticks = 0;
    const char *start = *p;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        n = n * 10 + (**p - '0');
        if (n > 400000000000LL)
            return false;
    }
    bool has_fraction = **p == '.' || **p == ',';
    if (*p == start)
        return false;
    if (has_fraction) {
        (*p)++;
        if (!parse_fraction(p, &ticks) || **p != 'S')
            return false;
    }
    char unit = *(*p)++;
    if (!in_time && (unit == 'Y' || unit == 'M'))
        d->months += unit == 'Y' ? n * 12 : n;
    else if (!in_time && (unit == 'W' || unit == 'D'))
        d->seconds += n * (unit == 'W' ? 7 * 86400 : 86400);
    else if (in_time && (unit == 'H' || unit == 'M' || unit == 'S'))
        d->seconds += n * (unit == 'H' ? 3600 : unit == 'M' ? 60 : 1);
    else
        return false;
    d->ticks += ticks;
    return true;
}

static bool duration_parse(const char *s, struct duration *ret)
{
    *ret = (struct duration){ 0 };
    bool is_negative = *s == '-', in_time = false;
    s += *s == '-' || *s == '+';
    if (*s++ != 'P' || !*s)
        return false;
    int parts = 0;
    while (*s) {
        if (*s == 'T' && !in_time) {
            in_time = true;
            s++;
            continue;
        }
        if (++parts > 8 || !duration_part(&s, in_time, ret))
            return false;
    }
    if (is_negative) {
        ret->months = -ret->months;
        ret->seconds = -ret->seconds;
        ret->ticks = -ret->ticks;
    }
    return parts > 0;
}

enum moment_added moment_add(struct moment *m, const char *duration)
{
    struct duration d;
    struct calendar t;
    if (!duration_parse(duration, &d))
        return ADD_MALFORMED;
    moment_calendar(m->seconds, &t);
    int64_t month = (int64_t)t.year * 12 + t.month - 1 + d.months;
    if (month < 12 || month >= 120000)
        return ADD_OUT_OF_RANGE;
    t.year = (int)(month / 12);
    t.month = (int)(month % 12) + 1;
    int last = moment_month_days(t.year, t.month);
    if (t.day > last)
        t.day = last;
    if (!moment_from_calendar(&t, &m->seconds))
        return ADD_OUT_OF_RANGE;
    int64_t ticks = m->ticks + d.ticks;
    m->seconds += d.seconds;
    if (ticks < 0) {
        ticks += TICKS;
        m->seconds--;
    } else if (ticks >= TICKS) {
        ticks -= TICKS;
        m->seconds++;
    }
    m->ticks = (int32_t)ticks;
    return m->seconds < SECONDS_MIN || m->seconds > SECONDS_MAX ? ADD_OUT_OF_RANGE : ADDED;
}
