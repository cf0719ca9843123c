/* The text of a template and where things stand in it. common/json gives values without places, so
 * value_import() walks text and values in lockstep with the cursor of this file; offsets become
 * lines and columns only when an error needs them. */
#ifndef PORTOLAN_TEMPLATES_SOURCE_H
#define PORTOLAN_TEMPLATES_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct source {
    const char *text;
    size_t len;
    uint32_t *lines; /* offsets at which lines begin */
    size_t line_count;
};

/* text must outlive the source, which lives in the arena. */
struct source *source_new(struct arena *a, const char *text, size_t len);

struct place {
    int line;   /* 1-based; 0: unknown */
    int column; /* 1-based, in bytes of the line */
};

/* of offset + 1, as values carry it */
struct place source_place(const struct source *s, uint32_t at);
/* Steps through a text that is known to be well-formed JSON with comments. Each returns the offset
 * of what it found; all stop at the end of the text. */
size_t source_skip_space(const struct source *s, size_t offset);
/* Past the string, name, number or word that starts at offset. */
size_t source_skip_scalar(const struct source *s, size_t offset);
/* The text of one member's value, as it is written: path is its name and those of the objects
 * around it, ended by NULL. False when the text does not have it, or spells a name with escapes. */
bool source_slice(const char *text, size_t len, const char *const *path, const char **ret,
                  size_t *ret_len);

#endif
