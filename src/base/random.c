/* SPDX-License-Identifier: MIT */
/* xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64 as its authors advise. */
#include "base/base_internal.h"

#include <math.h>

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void sg_rng_seed(sg_rng *r, uint64_t seed, uint64_t stream)
{
    uint64_t x = stream;
    x = splitmix64(&x) ^ seed;
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&x);
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t sg_rng_next(sg_rng *r)
{
    uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double sg_rng_uniform(sg_rng *r)
{
    return (double)(sg_rng_next(r) >> 11) * 0x1p-53;
}

uint64_t sg_rng_below(sg_rng *r, uint64_t bound)
{
    /* the first `reject` values would be drawn once too often */
    uint64_t reject = (uint64_t)(-bound) % bound;
    for (;;) {
        uint64_t x = sg_rng_next(r);
        if (x >= reject)
            return x % bound;
    }
}

double sg_rng_normal(sg_rng *r)
{
    /* Box-Muller; one of the pair is thrown away so that the state needs no memory of it */
    double u = 1.0 - sg_rng_uniform(r), v = sg_rng_uniform(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
