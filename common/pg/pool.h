/* What pool.c offers to the other files of common/pg. */
#ifndef PORTOLAN_PG_POOL_H
#define PORTOLAN_PG_POOL_H

struct pg_pool;

/* Closes every idle connection: one was found dead, so the others are suspect. */
void pool_forget_idle(struct pg_pool *pool);

#endif
