/* A JSON object described by a const table of rows, one per member path. From a table come
 * checking, defaults, decoding into a C struct, stripping by flag and naming of unknown members;
 * nothing about a member is typed anywhere else. Planes add meaning of their own to `flags` above
 * FIELD_FLAG_PLANE, and to `gate` and `since`, which this folder only carries. */
#ifndef PORTOLAN_JSON_FIELDS_H
#define PORTOLAN_JSON_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;

enum field_kind {
    FIELD_TEXT,      /* char *; min and max are lengths in bytes */
    FIELD_BOOL,      /* bool */
    FIELD_INT,       /* int64_t; min and max are values */
    FIELD_TIME,      /* char *, RFC 3339 */
    FIELD_TEXT_LIST, /* struct field_texts; oneof, pattern check each, max is the count */
    FIELD_TEXT_MAP,  /* struct json_object *, values all text; max is the count */
    FIELD_LIST,      /* struct field_list of `of` rows; max is the count */
    FIELD_JSON,      /* struct json_object *, any object, list or scalar, kept as it is */
    FIELD_KIND_MAX
};

/* Exactly one of the first three mutability flags on every row. */
#define FIELD_RW (1u << 0)          /* may be set and changed */
#define FIELD_CREATE_ONLY (1u << 1) /* set on create; unchanged values are accepted later */
#define FIELD_READ_ONLY (1u << 2)   /* ignored in requests */
#define FIELD_SECRET (1u << 3)      /* accepted, never returned (with RW or CREATE_ONLY) */
#define FIELD_REQUIRED (1u << 4)
#define FIELD_NULLABLE (1u << 5)    /* null is a value of its own, kept and returned */
#define FIELD_NOCASE (1u << 6)      /* oneof matches without case; the table's spelling is kept */
#define FIELD_BY_NAME (1u << 7)     /* a list whose items have a `name`: a patch of the list patches
                                       the items of its names and drops the others */
#define FIELD_ADDED_TO (1u << 8)    /* with FIELD_BY_NAME: it keeps the others */
#define FIELD_FLAG_PLANE 16         /* first bit for planes */

struct field_texts {
    char **items;
    size_t count;
};

struct field_list {
    void *items; /* count structs of of_size bytes */
    size_t count;
};

struct field {
    const char *path; /* dotted, from the top of the object; NULL ends the table */
    enum field_kind kind;
    unsigned flags;
    size_t offset;    /* in the decoded struct; FIELD_NO_OFFSET: not decoded */
    const char *def;  /* default as JSON text ("false", "\"Enabled\"", "[]"); NULL: none */
    const char *const *oneof; /* NULL-terminated allowed values */
    const char *pattern;      /* POSIX extended regular expression for the whole value */
    int64_t min, max;         /* both 0: no range; texts default to a maximum of 4096 bytes */
    const struct field *of;   /* rows of FIELD_LIST items */
    size_t of_size;           /* struct size of FIELD_LIST items */
    int gate;                 /* plane-defined, e.g. lowest SKU */
    const char *since;        /* plane-defined, e.g. first api-version */
};

#define FIELD_NO_OFFSET ((size_t)-1)

/* Kinds, ranges, enumerations, patterns of what is present, and presence of required members (when
 * is_whole). All violations are found: the first is *err, all are err->details (in a). Enumerations
 * under FIELD_NOCASE are rewritten to the table's spelling. code is the code to use. */
struct error_code;
MUST_CHECK int fields_check(struct arena *a, const struct field *table, struct json_object *object,
                            bool is_whole, const struct error_code *code, struct error *err);
/* Puts the default of every absent member that has one. */
void fields_default(const struct field *table, struct json_object *object);
/* Removes members whose row has any of the flags. */
void fields_strip(const struct field *table, struct json_object *object, unsigned flags);
/* Decodes a checked object into the zeroed struct *out; texts live in a, JSON kinds are owned by a. */
MUST_CHECK int fields_decode(struct arena *a, const struct field *table,
                             const struct json_object *object, void *out, struct error *err);
/* Paths in object that no row covers, in order (members below FIELD_JSON and FIELD_TEXT_MAP rows
 * are covered). */
size_t fields_unknown(struct arena *a, const struct field *table, const struct json_object *object,
                      char ***ret_paths);
/* The row for path, or NULL. */
const struct field *fields_find(const struct field *table, const char *path);
/* Proves a table well formed: paths unique, exactly one mutability flag, offsets inside
 * struct_size, defaults pass their own row, patterns compile. For start-up and a unit test. */
MUST_CHECK int fields_table_check(const struct field *table, size_t struct_size,
                                  struct error *err);

#endif
