# SPDX-License-Identifier: MIT
"""The project's random numbers (src/base/random.c), written again: xoshiro256**, seeded by splitmix64."""
MASK = (1 << 64) - 1


def random_bits(seed, stream, n):
    """n numbers of 64 bits: sg_rng_seed(seed, stream), then sg_rng_next."""
    def split(x):
        x = (x + 0x9E3779B97F4A7C15) & MASK
        z = x
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return x, z ^ (z >> 31)
    rotate = lambda x, k: ((x << k) | (x >> (64 - k))) & MASK
    x = split(stream)[1] ^ seed
    s = []
    for _ in range(4):
        x, z = split(x)
        s.append(z)
    out = []
    for _ in range(n):
        out.append(rotate(s[1] * 5 & MASK, 7) * 9 & MASK)
        t = s[1] << 17 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 45)
    return out


def uniforms(seed, stream, n):
    """n numbers in [0, 1): sg_rng_uniform."""
    return [(bits >> 11) * 2.0 ** -53 for bits in random_bits(seed, stream, n)]
