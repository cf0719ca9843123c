/* json-c's headers, for the .c files of this folder only. json-c has a type called json_bool, and
 * json.h a function: the type goes by another name here. */
#ifndef PORTOLAN_JSON_JSON_C_H
#define PORTOLAN_JSON_JSON_C_H

#define json_bool json_c_bool
#include <json-c/json.h>
#undef json_bool

#endif
