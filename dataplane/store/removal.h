/* Shared by what writes and what removes manifests: the names under which deletions are remembered.
 */
#ifndef PORTOLAN_STORE_REMOVAL_H
#define PORTOLAN_STORE_REMOVAL_H

struct arena;

/* The key of a tombstone: "repository:tag" or "repository@digest". */
char *grave(struct arena *a, const char *repository, char separator, const char *what);

#endif
