/* One step's Jacobian, folded: the factors of the weight rows. Float for the analysis, double for checks. */
#include "cell.h"

#include <math.h>
#include <string.h>

#define REAL float
#define NAME(x) x
#include "fold.inc.h"
#undef REAL
#undef NAME

#define REAL double
#define NAME(x) x##_d
#include "fold.inc.h"
