/* Compiled patterns, kept in a table that only grows: see the header. A place is filled once, by
 * whoever is first, and read without a lock from then on. */
#include "common/base/pattern.h"

#include <regex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/text.h"

#define PLACES      1024 /* a power of two, several times the number of patterns there are */
#define TRIES       16
#define PATTERN_MAX 1024

struct compiled {
    char *pattern;
    regex_t regex;
};

static _Atomic(struct compiled *) places[PLACES];

static int compile(const char *pattern, regex_t *ret)
{
    char whole[PATTERN_MAX];
    int len = snprintf(whole, sizeof(whole), "^(%s)$", pattern);

    if (len < 0 || (size_t)len >= sizeof(whole))
        return REG_ESPACE;
    return regcomp(ret, whole, REG_EXTENDED | REG_NOSUB);
}

int pattern_check(const char *pattern, struct error *err)
{
    char reason[128];
    regex_t regex;
    int rc = compile(pattern, &regex);

    if (rc != 0) {
        (void)regerror(rc, &regex, reason, sizeof(reason));
        return fail_cause(err, &E_INTERNAL, "the pattern '%s': %s", pattern, reason);
    }
    regfree(&regex);
    return 0;
}

static void free_compiled(struct compiled *c)
{
    regfree(&c->regex);
    free(c->pattern);
    free(c);
}

static struct compiled *new_compiled(const char *pattern)
{
    struct compiled *c = calloc(1, sizeof(*c));

    if (c && (c->pattern = strdup(pattern)) != NULL && compile(pattern, &c->regex) == 0)
        return c;
    if (c)
        free(c->pattern);
    free(c);
    return NULL;
}

/* FNV-1a */
static size_t place_of(const char *pattern)
{
    uint32_t hash = 2166136261u;

    for (const char *p = pattern; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    return hash % PLACES;
}

/* The pattern's, compiled; *ret_is_kept: false where every place is taken, and it is the caller's. */
static struct compiled *find(const char *pattern, bool *ret_is_kept)
{
    struct compiled *made = NULL;
    size_t first = place_of(pattern);

    *ret_is_kept = true;
    for (size_t i = 0; i < TRIES; i++) {
        _Atomic(struct compiled *) *place = &places[(first + i) % PLACES];
        struct compiled *there = atomic_load_explicit(place, memory_order_acquire);

        if (!there && !made && !(made = new_compiled(pattern)))
            return NULL;
        if (!there && atomic_compare_exchange_strong(place, &there, made))
            return made;
        /* `there` is what stands there now, perhaps since a moment. */
        if (text_eq(there->pattern, pattern)) {
            if (made)
                free_compiled(made);
            return there;
        }
    }
    *ret_is_kept = false;
    return made ? made : new_compiled(pattern);
}

bool pattern_matches(const char *pattern, const char *value)
{
    bool is_kept, is_match;
    struct compiled *c = find(pattern, &is_kept);

    if (!c)
        return false;
    is_match = regexec(&c->regex, value, 0, NULL, 0) == 0;
    if (!is_kept)
        free_compiled(c);
    return is_match;
}
