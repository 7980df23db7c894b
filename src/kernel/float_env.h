/* SPDX-License-Identifier: MIT */
/* float_env.h - denormals are flushed to zero between begin and end, in the calling thread only. No parallel
 * region may begin between them: the threads that OpenMP makes for it would inherit the setting and keep
 * it. */
#ifndef SG_FLOAT_ENV_H
#define SG_FLOAT_ENV_H

#if defined(__SSE2__)
#include <xmmintrin.h>
typedef unsigned sg_float_env;
static inline sg_float_env float_env_begin(void)
{
    unsigned old = _mm_getcsr();
    _mm_setcsr(old | 0x8040); /* FTZ, DAZ */
    return old;
}
static inline void float_env_end(sg_float_env old)
{
    _mm_setcsr(old);
}
/* For tests: what is set, without the flags of what has happened. */
static inline sg_float_env float_env_now(void)
{
    return _mm_getcsr() & ~0x3fu;
}
#elif defined(__aarch64__)
typedef unsigned long sg_float_env;
static inline sg_float_env float_env_begin(void)
{
    unsigned long old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | 1UL << 24)); /* FZ */
    return old;
}
static inline void float_env_end(sg_float_env old)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
}
static inline sg_float_env float_env_now(void)
{
    unsigned long now;
    __asm__ volatile("mrs %0, fpcr" : "=r"(now));
    return now;
}
#else
typedef int sg_float_env;
static inline sg_float_env float_env_begin(void)
{
    return 0;
}
static inline void float_env_end(sg_float_env old)
{
    (void)old;
}
static inline sg_float_env float_env_now(void)
{
    return 0;
}
#endif

#endif
