#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: bench/projection.py   - the table of doc/cluster.md: what an analysis on many nodes would take, by the program's
own model of cost (src/analysis/forecast.c, src/analysis/team.c) and the speeds measured on one core. No node was used.

One process per node, one LSTM layer, one state, one class, 50 delays. States are computed one after the other, on one core:
of all tokens before the share of a process, or with --warm-up 5000 of its share and 5000 tokens before each part of a block."""
MEASURED = 227.7  # tokens per second of one core at E=64, H=256, D=50: doc/performance.md
DELAYS, CORES, NETWORK, WARM_UP = 50, 64, 1.25e9, 5000  # network: bytes per second into one node
READING, STORED, TEXT = 5e6, 8, 5.5  # tokens per second; bytes per token in the temporary file, and of text
SLOWER, PASSES = 20, 3  # states: products of a vector; gradients, replacement, exponents
MODELS = {"paper: E=64, H=256": (64, 256, 0.1), "E=H=1024": (1024, 1024, 1.5)}  # GiB by the forecast of the program


def gradients(E, H):
    """Operations per token."""
    return 4 * H * H * E * (DELAYS - 1)


def states(E, H):
    return SLOWER * PASSES * 2 * 4 * H * (E + H)


def spectra(E, H, blocks):
    """Coarser than the program's count (src/analysis/results/work.c): decompositions at a tenth of the speed of products."""
    B = 5 * blocks + 1  # blocks and their quarters
    return (2 * B * 2 * H * E * E + 10 * B * 12 * E**3 + 10 * 20 * H * E * E) * DELAYS


RATE = MEASURED * gradients(64, 256)  # operations per second of one core


def duration(seconds):
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"


def project(E, H, tokens, nodes):
    s, g = states(E, H) / RATE, gradients(E, H) / RATE
    blocks = max(20, nodes // 4)  # a process has at least a quarter of a block
    # Shares of equal cost on one core (team_share): each is 1 - s / (g + s) times the one before. The last takes longest.
    a = s / (g + s)
    shares = s * tokens + g / CORES * tokens * a * (1 - a) ** (nodes - 1) / (1 - (1 - a) ** nodes)
    gathered = 4 * blocks * DELAYS * (H * E + E * (E + 1) / 2) * 4
    last = gathered / NETWORK + spectra(E, H, blocks) / (RATE * CORES)
    reading = tokens / READING
    total = reading + shares + last
    own = tokens / nodes
    warm = {"states": s * (own + WARM_UP * 4 * blocks / nodes), "gradients": g / CORES * own, "rank 0": last, "reading": reading}
    return total, sum(warm.values()), g / CORES * own, gathered, max(warm, key=warm.get)


def rows():
    yield ("| model | tokens | nodes | time, exact states | use of the cores | time, `--warm-up 5000` | use of the cores | then most time in | "
           "sums sent to rank 0 | memory, temporary file per node |")
    yield "|---|---:|---:|---:|---:|---:|---:|---|---:|---:|"
    for name, (E, H, memory) in MODELS.items():
        for tokens in (1e8, 1e9, 1e10):
            for nodes in (10, 100, 1000):
                exact, warm, best, gathered, most = project(E, H, tokens, nodes)
                power = f"10^{len(str(int(tokens))) - 1}"
                yield (f"| {name} | {power} | {nodes} | {duration(exact)} | {100 * best / exact:.2g} % | {duration(warm)} | {100 * best / warm:.2g} % | "
                       f"{most} | {gathered / 2**30:.3g} GiB | {memory} GiB, {STORED * tokens / 2**30:.2g} GiB |")


if __name__ == "__main__":
    print("\n".join(rows()))
    for name, (E, H, _) in MODELS.items():
        print(f"{name}: per token {1e6 * states(E, H) / RATE:.3g} us of states, {1e6 * gradients(E, H) / RATE:.3g} us of gradients on one core; "
              f"{gradients(E, H) / states(E, H):.0f} cores are busy before the states take longer")
