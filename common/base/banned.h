/* Functions this code base does not use, made compile errors. The build includes this file before
 * every source file, so the system headers that declare them are read first. */
#ifndef PORTOLAN_BASE_BANNED_H
#define PORTOLAN_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* No bound on what is written. With clang, _FORTIFY_SOURCE makes macros of them. */
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef stpcpy
#undef strncpy
#undef strncat
#pragma GCC poison strcpy strcat sprintf vsprintf gets stpcpy strncpy strncat
/* Hidden state, or no way to see a failure. */
#pragma GCC poison strtok atoi atol atoll atof gmtime localtime ctime asctime
/* Unbounded stack, predictable names, weak randomness, a shell in between. */
#undef alloca
#pragma GCC poison alloca mktemp tmpnam tempnam random drand48 system popen
/* OpenSSL's headers name parameters `rand`, so only the call is an error. */
#define rand() rand_is_banned

#endif
