/* SPDX-License-Identifier: MIT */
/* Prints the variables of the run file, one per line, for tests/against/documentation.py. */
#include "run/run_internal.h"

#include <stdio.h>

int main(void)
{
    for (const run_variable *v = run_variables; v->name; v++)
        puts(v->name);
    return 0;
}
