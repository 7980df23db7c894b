/* SPDX-License-Identifier: MIT */
#include "kernel/kernel.h"

#include <stdlib.h>
#include <string.h>

extern const sg_kernels kernels_plain;
#if defined(__x86_64__)
extern const sg_kernels kernels_avx2, kernels_avx512;
#endif

const sg_kernels *kernels_named(const char *name)
{
#if defined(__x86_64__)
    if (!strcmp(name, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
                   ? &kernels_avx512
                   : NULL;
    if (!strcmp(name, "avx2"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels_avx2 : NULL;
#endif
    return strcmp(name, "plain") ? NULL : &kernels_plain;
}

const sg_kernels *kernels_best(void)
{
    static const char *const order[] = {"avx512", "avx2", "plain"};
    const char *asked = getenv("STATEGRAD_ISA");
    const sg_kernels *k = asked ? kernels_named(asked) : NULL;
    for (size_t i = 0; !k && i < sizeof order / sizeof *order; i++)
        k = kernels_named(order[i]);
    return k;
}
