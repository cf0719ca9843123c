/* Error rows of the template engine. */
#include "templates/language/faults.h"

#include "common/base/error.h"

const struct error_code E_INVALID_TEMPLATE = { "InvalidTemplate", 400 };
const struct error_code E_INVALID_REQUEST_CONTENT = { "InvalidRequestContent", 400 };
const struct error_code E_TEMPLATE_EXPRESSION = { "InvalidTemplate", 400 };
const struct error_code E_TEMPLATE_BUDGET = { "InvalidTemplate", 400 };
