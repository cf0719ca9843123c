/* Readers of binary results, by the type of the column. The server's layouts are those of the
 * types' send functions (src/backend/utils/adt). Reading a column as what it is not is a bug of the
 * caller and aborts: a wrong value would be worse. */
#include "common/pg/result.h"

#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/pg/conn.h"
#include "common/pg/pg.h"

#define EPOCH_2000_US   INT64_C(946684800000000)
#define DAY_US          INT64_C(86400000000)
#define ARRAY_ITEMS_MAX 1000000

enum type_oid {
    T_BOOL = 16,
    T_BYTEA = 17,
    T_NAME = 19,
    T_INT8 = 20,
    T_INT2 = 21,
    T_INT4 = 23,
    T_TEXT = 25,
    T_OID = 26,
    T_XID = 28,
    T_JSON = 114,
    T_CIDR = 650,
    T_FLOAT8 = 701,
    T_UNKNOWN = 705,
    T_INET = 869,
    T_NAMES = 1003,
    T_INT4S = 1007,
    T_TEXTS = 1009,
    T_VARCHARS = 1015,
    T_INT8S = 1016,
    T_BPCHAR = 1042,
    T_VARCHAR = 1043,
    T_DATE = 1082,
    T_TIMESTAMP = 1114,
    T_TIMESTAMPTZ = 1184,
    T_VOID = 2278,
    T_UUID = 2950,
    T_UUIDS = 2951,
    T_JSONB = 3802,
    T_XID8 = 5069,
};

static const enum type_oid readable[] = {
    T_BOOL,  T_BYTEA,    T_NAME,  T_INT8,   T_INT2,    T_INT4, T_TEXT,      T_OID,
    T_XID,   T_JSON,     T_CIDR,  T_FLOAT8, T_UNKNOWN, T_INET, T_NAMES,     T_INT4S,
    T_TEXTS, T_VARCHARS, T_INT8S, T_BPCHAR, T_VARCHAR, T_DATE, T_TIMESTAMP, T_TIMESTAMPTZ,
    T_VOID,  T_UUID,     T_UUIDS, T_JSONB,  T_XID8,
};

struct pg_result {
    PGresult *res;
    struct arena *arena;
    const char *name; /* of the statement, for last words */
};

struct cell {
    enum type_oid type;
    const uint8_t *bytes; /* NUL-terminated by libpq */
    size_t len;
};

static _Noreturn void misuse(const struct pg_result *r, size_t row, size_t col, const char *why)
{
    log_note(LOG_ERROR, "pg-misuse", "%s: row %zu column %zu: %s", r->name, row, col, why);
    abort();
}

bool result_can_read(Oid type)
{
    for (size_t i = 0; i < ARRAY_LEN(readable); i++) {
        if ((Oid)readable[i] == type)
            return true;
    }
    return false;
}

static void clear(void *res)
{
    PQclear(res);
}

int result_new(struct arena *a, PGresult *res, const char *name, struct pg_result **ret,
               struct error *err)
{
    struct pg_result *r;

    for (int i = 0; i < PQnfields(res); i++) {
        if (!result_can_read(PQftype(res, i))) {
            (void)fail_cause(err, &E_INTERNAL, "%s: column %d has type %u: cast it", name, i,
                             PQftype(res, i));
            PQclear(res);
            return -1;
        }
    }
    if (!ret) {
        PQclear(res);
        return 0;
    }
    r = ARENA_NEW(a, struct pg_result);
    r->res = res;
    r->arena = a;
    r->name = arena_strdup(a, name);
    arena_defer(a, clear, res);
    *ret = r;
    return 0;
}

size_t pg_rows(const struct pg_result *r)
{
    return (size_t)PQntuples(r->res);
}

int64_t pg_affected(const struct pg_result *r)
{
    return strtoll(PQcmdTuples(r->res), NULL, 10);
}

static uint16_t get16(const uint8_t *p)
{
    uint16_t n;

    memcpy(&n, p, sizeof(n));
    return be16toh(n);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t n;

    memcpy(&n, p, sizeof(n));
    return be32toh(n);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t n;

    memcpy(&n, p, sizeof(n));
    return be64toh(n);
}

bool pg_is_null(const struct pg_result *r, size_t row, size_t col)
{
    if (row >= pg_rows(r) || col >= (size_t)PQnfields(r->res))
        misuse(r, row, col, "no such cell");
    return PQgetisnull(r->res, (int)row, (int)col) != 0;
}

/* false: SQL NULL. */
static bool cell_at(const struct pg_result *r, size_t row, size_t col, struct cell *ret)
{
    if (pg_is_null(r, row, col))
        return false;
    ret->type = (enum type_oid)PQftype(r->res, (int)col);
    ret->bytes = (const uint8_t *)PQgetvalue(r->res, (int)row, (int)col);
    ret->len = (size_t)PQgetlength(r->res, (int)row, (int)col);
    return true;
}

static bool cell_int(const struct cell *c, int64_t *ret)
{
    if (c->type == T_INT8 || c->type == T_XID8)
        *ret = (int64_t)get64(c->bytes);
    else if (c->type == T_INT4)
        *ret = (int32_t)get32(c->bytes);
    else if (c->type == T_OID || c->type == T_XID)
        *ret = get32(c->bytes);
    else if (c->type == T_INT2)
        *ret = (int16_t)get16(c->bytes);
    else if (c->type == T_BOOL)
        *ret = c->bytes[0] != 0;
    else
        return false;
    return true;
}

/* Microseconds since 1970; the server's infinities stay the extremes. */
static bool cell_time(const struct cell *c, int64_t *ret)
{
    int64_t t;

    if (c->type == T_DATE) {
        int32_t days = (int32_t)get32(c->bytes);

        t = days == INT32_MAX ? INT64_MAX : days == INT32_MIN ? INT64_MIN : days * DAY_US;
    } else if (c->type == T_TIMESTAMPTZ || c->type == T_TIMESTAMP) {
        t = (int64_t)get64(c->bytes);
    } else {
        return false;
    }
    *ret = t == INT64_MIN || t > INT64_MAX - EPOCH_2000_US ? t : t + EPOCH_2000_US;
    return true;
}

static const char *time_text(struct arena *a, int64_t us, bool is_date)
{
    int64_t fraction = us % 1000000;
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;

    if (us == INT64_MAX || us == INT64_MIN)
        return us > 0 ? "infinity" : "-infinity";
    if (fraction < 0) {
        fraction += 1000000;
        seconds--;
    }
    if (!gmtime_r(&seconds, &tm))
        return NULL;
    if (is_date)
        return arena_printf(a, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    return arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)fraction);
}

/* network_send: family (2 or 3), prefix length, is_cidr, address length, address. */
static const char *network_text(struct arena *a, const struct cell *c)
{
    char text[INET6_ADDRSTRLEN];
    int family = c->len == 8 ? AF_INET : AF_INET6;
    unsigned bits, full = family == AF_INET ? 32 : 128;

    if (c->len != 8 && c->len != 20)
        return NULL;
    bits = c->bytes[1];
    if (!inet_ntop(family, c->bytes + 4, text, sizeof(text)))
        return NULL;
    if (c->type == T_INET && bits == full)
        return arena_strdup(a, text);
    return arena_printf(a, "%s/%u", text, bits);
}

static const char *float_text(struct arena *a, const uint8_t *bytes)
{
    uint64_t raw = get64(bytes);
    double number;

    memcpy(&number, &raw, sizeof(number));
    return arena_printf(a, "%.17g", number);
}

static const char *cell_text(struct arena *a, const struct cell *c)
{
    int64_t n;

    if (c->type == T_JSONB)
        return c->len ? (const char *)c->bytes + 1 : NULL; /* a version byte comes first */
    if (c->type == T_UUID) {
        char *text = arena_alloc(a, UUID_TEXT_LEN + 1);

        uuid_text(c->bytes, text);
        return text;
    }
    if (c->type == T_BOOL)
        return c->bytes[0] ? "true" : "false";
    if (c->type == T_INET || c->type == T_CIDR)
        return network_text(a, c);
    if (c->type == T_FLOAT8)
        return float_text(a, c->bytes);
    if (cell_time(c, &n))
        return time_text(a, n, c->type == T_DATE);
    if (c->type == T_XID8)
        return arena_printf(a, "%" PRIu64, get64(c->bytes));
    if (cell_int(c, &n))
        return arena_printf(a, "%" PRId64, n);
    if (c->type == T_TEXT || c->type == T_VARCHAR || c->type == T_BPCHAR || c->type == T_NAME ||
        c->type == T_JSON || c->type == T_UNKNOWN || c->type == T_VOID)
        return (const char *)c->bytes;
    return NULL;
}

const char *pg_get_text(const struct pg_result *r, size_t row, size_t col)
{
    struct cell c;
    const char *text;

    if (!cell_at(r, row, col, &c))
        return NULL;
    text = cell_text(r->arena, &c);
    if (!text)
        misuse(r, row, col, "does not read as text");
    return text;
}

int64_t pg_get_int(const struct pg_result *r, size_t row, size_t col)
{
    struct cell c;
    int64_t n = 0;

    if (cell_at(r, row, col, &c) && !cell_int(&c, &n))
        misuse(r, row, col, "is no integer");
    return n;
}

bool pg_get_bool(const struct pg_result *r, size_t row, size_t col)
{
    struct cell c;

    if (!cell_at(r, row, col, &c))
        return false;
    if (c.type != T_BOOL)
        misuse(r, row, col, "is no boolean");
    return c.bytes[0] != 0;
}

const void *pg_get_bytes(const struct pg_result *r, size_t row, size_t col, size_t *ret_len)
{
    struct cell c;

    *ret_len = 0;
    if (!cell_at(r, row, col, &c))
        return NULL;
    if (c.type != T_BYTEA && c.type != T_TEXT)
        misuse(r, row, col, "is neither bytea nor text");
    *ret_len = c.len;
    return c.bytes;
}

int64_t pg_get_time_us(const struct pg_result *r, size_t row, size_t col)
{
    struct cell c;
    int64_t us = 0;

    if (cell_at(r, row, col, &c) && !cell_time(&c, &us))
        misuse(r, row, col, "is no time");
    return us;
}

/* array_send: dimensions, has-null flag, element type, then (length, lower bound) per dimension,
 * then (byte length, bytes) per element; length -1 is NULL. */
size_t pg_get_texts(const struct pg_result *r, size_t row, size_t col, const char ***ret)
{
    struct cell c, item;
    const uint8_t *p, *end;
    size_t count;

    *ret = NULL;
    if (!cell_at(r, row, col, &c))
        return 0;
    if (c.type != T_TEXTS && c.type != T_UUIDS && c.type != T_INT8S && c.type != T_INT4S &&
        c.type != T_VARCHARS && c.type != T_NAMES)
        misuse(r, row, col, "is no array");
    if (c.len < 12 || get32(c.bytes) > 1)
        misuse(r, row, col, "is no array of one dimension");
    if (get32(c.bytes) == 0)
        return 0;
    item.type = (enum type_oid)get32(c.bytes + 8);
    count = get32(c.bytes + 12);
    end = c.bytes + c.len;
    if (count > ARRAY_ITEMS_MAX)
        misuse(r, row, col, "has too many elements");
    *ret = arena_array(r->arena, count, sizeof(**ret));
    p = c.bytes + 20;
    for (size_t i = 0; i < count; i++) {
        if (end - p < 4)
            misuse(r, row, col, "is a cut array");
        item.len = get32(p);
        item.bytes = p + 4;
        p += 4;
        if (item.len == UINT32_MAX)
            continue;
        if ((size_t)(end - p) < item.len)
            misuse(r, row, col, "is a cut array");
        p += item.len;
        /* Elements are not NUL-terminated: what would be borrowed is copied. */
        if (item.type == T_TEXT || item.type == T_VARCHAR || item.type == T_NAME)
            (*ret)[i] = arena_strndup(r->arena, (const char *)item.bytes, item.len);
        else
            (*ret)[i] = cell_text(r->arena, &item);
    }
    return count;
}
