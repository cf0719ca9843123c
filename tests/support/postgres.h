/* A private PostgreSQL cluster for one test program: in a temporary directory, on a Unix socket
 * only, gone when the program ends however it ends. Failures abort: without a server there is no
 * test. */
#ifndef PORTOLAN_TESTS_POSTGRES_H
#define PORTOLAN_TESTS_POSTGRES_H

struct test_postgres;

/* settings: NULL-terminated "name=value" lines for the server, or NULL. */
struct test_postgres *test_postgres_new(const char *const *settings);
void test_postgres_free(struct test_postgres *p);

/* A keyword connection string; the text lives until the next call. */
const char *test_postgres_conninfo(struct test_postgres *p, const char *dbname);

void test_postgres_start(struct test_postgres *p);  /* returns when it accepts connections */
void test_postgres_stop(struct test_postgres *p);   /* cuts all sessions ("fast") */
void test_postgres_kill(struct test_postgres *p);   /* as a crash ("immediate") */
void test_postgres_freeze(struct test_postgres *p); /* every process stops, until thawed */
void test_postgres_thaw(struct test_postgres *p);

#endif
