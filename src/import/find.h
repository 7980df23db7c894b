/* SPDX-License-Identifier: MIT */
/* find.h - the recipe of a tensor file, by the finder of its format. */
#ifndef SG_IMPORT_FIND_H
#define SG_IMPORT_FIND_H

#include "import/recipe.h"

/* The reading of the tensor file, or SG_EFORMAT with the reason why there is none: tensor, what is wrong,
 * what would help. */
sg_status recipe_find(recipe *out, const tensor_file *b, const sg_import_config *cfg, sg_error *err);

#endif
