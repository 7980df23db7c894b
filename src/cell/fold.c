/* SPDX-License-Identifier: MIT */
/* One step's Jacobian, folded: the factors of the weight rows. Float for the analysis, double for checks. */
#include "cell/cell.h"

#include <math.h>
#include <string.h>

#define REAL float
#define NAME(x) x
#define EXP expf
#define ABS fabsf
#include "cell/fold.inc.h"
#undef REAL
#undef NAME
#undef EXP
#undef ABS

#define REAL double
#define NAME(x) x##_d
#define EXP exp
#define ABS fabs
#include "cell/fold.inc.h"
