/* Tokens: names that sign in to a registry with generated passwords. */
#ifndef PORTOLAN_TYPES_TOKEN_H
#define PORTOLAN_TYPES_TOKEN_H

#include "controlplane/types/type.h"

#define TOKEN_PASSWORDS 2

extern const struct resource_type token_type;
extern const char *const token_password_names[];

/* The registry's action generateCredentials. */
extern const struct field token_generate_request[];
int token_generate(struct action_run *run, struct error *err);

#endif
