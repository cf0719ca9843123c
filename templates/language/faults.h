/* The error rows of the template engine, and the links its texts end with. Messages follow the
 * recorded ones of Azure Resource Manager, so that tools and people recognise them. */
#ifndef PORTOLAN_TEMPLATES_FAULTS_H
#define PORTOLAN_TEMPLATES_FAULTS_H

struct error_code;

extern const struct error_code E_INVALID_TEMPLATE;        /* 400 InvalidTemplate */
extern const struct error_code E_INVALID_REQUEST_CONTENT; /* 400: not what a template may hold */
/* 400 InvalidTemplate as well: the text of an expression failure, before the template engine has
 * wrapped it in where it happened. */
extern const struct error_code E_TEMPLATE_EXPRESSION;
/* 400 InvalidTemplate: the budget of one evaluation is spent; never wrapped or caught. */
extern const struct error_code E_TEMPLATE_BUDGET;

#define USAGE(page)     " Please see https://aka.ms/" page " for usage details."
#define SEE_FUNCTIONS   USAGE("arm-functions")
#define SEE_EXPRESSIONS USAGE("arm-template-expressions")

#endif
