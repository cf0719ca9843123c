/* A template opened: its grammar checked, its sections found, its parameters, variables and user
 * functions ready to be evaluated when first asked for. */
#ifndef PORTOLAN_TEMPLATES_FILE_H
#define PORTOLAN_TEMPLATES_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"
#include "templates/language/engine.h"
#include "templates/language/template.h"

struct error;
struct value;

enum binding_state { BINDING_UNSEEN, BINDING_BUSY, BINDING_DONE };

/* A parameter or a variable. */
struct binding {
    const char *name;
    size_t name_len;
    const struct value *decl;
    const struct value *given; /* a supplied parameter value, or the expression of one */
    const struct value *value; /* once BINDING_DONE */
    enum binding_state state;
    bool is_copy;       /* decl is {name, count, input} */
    bool is_expression; /* given is to be evaluated */
};

struct user_function {
    const char *name; /* namespace.member */
    size_t name_len;
    const struct value *parameters; /* array of {name, type} */
    const struct value *names;      /* array of their names */
    const struct value *output;
};

struct template_file {
    const struct source *source;
    const struct value *root;
    const char *schema;
    const char *content_version;
    enum template_scope scope;
    bool is_v2; /* languageVersion 2.0 and its neighbours */
    struct binding *parameters, *variables;
    size_t parameter_count, variable_count;
    struct user_function *functions;
    size_t function_count;
    const struct value *definitions, *resources, *outputs; /* never NULL */
    const char **loops; /* names of resource loops, also of those with no instance */
    size_t loop_count;
    struct plan_builder *outer; /* of outer scope: names may also be the parent's resources */
    size_t outer_node;
    const struct value *deployment; /* what deployment() gave last */
    struct env home;                /* what its parameters and variables are evaluated in */
};

/* root must be an object. */
MUST_CHECK int file_open(struct engine *e, const struct value *root, const struct source *source,
                         const struct template_context *scope, struct template_file **ret,
                         struct error *err);
struct binding *file_parameter(struct template_file *f, const char *name, size_t len);
const struct user_function *file_function(const struct template_file *f, const char *name,
                                          size_t len);

/* parameters('name') and variables('name'), evaluated at the first call. */
MUST_CHECK int file_parameter_value(struct template_file *f, const char *name, size_t len,
                                    const struct value **ret, struct error *err);
MUST_CHECK int file_variable_value(struct template_file *f, const char *name, size_t len,
                                   const struct value **ret, struct error *err);

/* Takes the values of a parameter file or request ({name: {value}}); unknown names are an error.
 * Then every parameter must have a value that its declaration allows. */
MUST_CHECK int file_give_parameters(struct template_file *f, const struct value *given,
                                    struct error *err);
MUST_CHECK int file_check_parameters(struct template_file *f, struct error *err);

/* Members of o that `known` (NULL-terminated) does not list are an error that names type and path. */
MUST_CHECK int file_check_members(struct template_file *f, const struct value *o,
                                  const char *const *known, const char *type, struct error *err);
/* Turns an expression failure into the recorded text that says where: kind is "resource",
 * "variable", "output". Other failures stay as they are. Returns -1. */
int file_blame(struct template_file *f, const char *kind, const char *name, uint32_t at,
               struct error *err);

#endif
