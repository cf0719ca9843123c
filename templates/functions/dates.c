/* Dates. Without a format, dateTimeAdd keeps the shape of an ISO 8601 base; other bases give the
 * general date of the documentation's table. */
#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/functions/moment.h"
#include "templates/language/template.h"

#define FORMAT_BASIC    "yyyyMMddTHHmmssZ"
#define FORMAT_EXTENDED "yyyy-MM-ddTHH:mm:ssZ"
#define FORMAT_GENERAL  "M/d/yyyy h:mm:ss tt"

static int formatted(struct call *c, const struct moment *m, const char *format,
                     const struct value **ret, struct error *err)
{
    struct str s;
    str_init(&s, 4096);
    int rc;
    if (!moment_format(&s, m, format))
        rc = call_fail(c, err, "the date format '%.64s' is not valid.", format);
    else
        rc = call_str(c, &s, ret, err);
    str_done(&s);
    return rc;
}

static int parse(struct call *c, const struct value *s, struct moment *ret,
                 enum moment_shape *ret_shape, struct error *err)
{
    return moment_parse(s->text, ret, ret_shape)
               ? 0
               : call_fail(c, err, "the date '%.64s' is not valid. It must be in ISO 8601 format.",
                           s->text);
}

int fn_utc_now(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *format = NULL;
    if (c->argc && arg_text(c, 0, &format, err) < 0)
        return -1;
    int64_t us = c->env->scope->now_us;
    struct moment m = { .seconds = us / 1000000, .ticks = (int32_t)(us % 1000000) * 10 };
    return formatted(c, &m, format ? format->text : FORMAT_BASIC, ret, err);
}

int fn_date_time_add(struct call *c, const struct value **ret, struct error *err)
{
    static const char *const shapes[SHAPE_MAX] = { FORMAT_EXTENDED, FORMAT_BASIC, FORMAT_GENERAL };
    const struct value *base, *duration, *format = NULL;
    struct moment m;
    enum moment_shape shape;
    if (arg_text(c, 0, &base, err) < 0 || arg_text(c, 1, &duration, err) < 0 ||
        (c->argc > 2 && arg_text(c, 2, &format, err) < 0) || parse(c, base, &m, &shape, err) < 0)
        return -1;
    enum moment_added added = moment_add(&m, duration->text);
    if (added == ADD_MALFORMED)
        return call_fail(c, err,
                         "the duration '%.64s' is not valid. It must be in ISO 8601 format.",
                         duration->text);
    if (added == ADD_OUT_OF_RANGE)
        return call_fail(c, err, "the resulting date is out of range.");
    return formatted(c, &m, format ? format->text : shapes[shape], ret, err);
}

int fn_date_time_to_epoch(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *text;
    struct moment m;
    enum moment_shape shape;
    if (arg_text(c, 0, &text, err) < 0 || parse(c, text, &m, &shape, err) < 0)
        return -1;
    *ret = value_int(c->arena, m.seconds);
    return 0;
}

int fn_date_time_from_epoch(struct call *c, const struct value **ret, struct error *err)
{
    struct moment m = { 0 };
    if (arg_int(c, 0, &m.seconds, err) < 0)
        return -1;
    if (m.seconds < -62135596800LL || m.seconds > 253402300799LL)
        return call_fail(c, err, "the epoch time '%" PRId64 "' is out of range.", m.seconds);
    return formatted(c, &m, FORMAT_EXTENDED, ret, err);
}
