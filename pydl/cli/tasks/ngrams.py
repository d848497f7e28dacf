# SPDX-License-Identifier: BSD-3-Clause
"""N-gram models of a text, what a network that reads characters is compared with: interpolated modified Kneser-Ney."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["bits_per_token", "longest"]

Array = np.ndarray[Any, np.dtype[Any]]


def longest(n_tokens: int) -> int:
    """The largest n for which n-grams of so many different tokens are numbers of 63 bits."""
    n = 1
    while n_tokens ** (n + 1) < 2**63:
        n += 1
    return n


def bits_per_token(train: Array, held: Array, n_tokens: int, orders: int) -> list[float]:
    """−log₂ P of each token of `held` in the mean, given the n − 1 before it, for n = 1 … orders.

    P_n(w | h) = max(c(hw) − D, 0) / c(h) + λ(h) P_{n−1}(w | h without its first token), P_0 uniform. c(hw) is how often
    hw occurs in `train` for the longest n, and below it after how many different tokens (Kneser and Ney 1995); D is one
    of three discounts for the counts 1, 2 and more (Chen and Goodman 1999, equation 26); λ makes the sum 1. The tokens
    before the beginning of a text are unknown: the shorter contexts decide there.
    Shapes: train (M), held (N) of numbers in [0, n_tokens). Errors: ValueError where n-grams do not fit into 63 bits.
    """
    if n_tokens**orders >= 2**63:
        raise ValueError(f"n-grams of {orders} tokens out of {n_tokens} do not fit into 63 bits")
    texts = [np.concatenate([np.zeros(orders - 1, np.int64), x.astype(np.int64)]) for x in (train, held)]
    seen: list[tuple[Array, Array]] = []
    for n in range(1, orders + 1):
        seen.append(np.unique(_codes(texts[0], n, n_tokens, orders), return_counts=True))
    probabilities: Array = np.full(len(held), 1 / n_tokens)
    found = []
    for n in range(1, orders + 1):
        codes = _codes(texts[1], n, n_tokens, orders)
        longest = _interpolated(*seen[n - 1], codes, n_tokens, probabilities)
        found.append(float(-np.log2(longest).mean()))
        if n < orders:
            # In how many places: the different (n + 1)-grams that end like this.
            shorter = seen[n][0] % n_tokens**n
            probabilities = _interpolated(*np.unique(shorter, return_counts=True), codes, n_tokens, probabilities)
    return found


def _codes(text: Array, n: int, n_tokens: int, orders: int) -> Array:
    """The n-gram that ends at each token of the text, as a number whose digits are the tokens."""
    length = len(text) - orders + 1
    codes = np.zeros(length, np.int64)
    for k in range(n):
        first = orders - n + k
        codes = codes * n_tokens + text[first : first + length]
    return codes


def _interpolated(grams: Array, counts: Array, wanted: Array, n_tokens: int, below: Array) -> Array:
    """P(w | h) of the wanted n-grams hw, from all n-grams (in rising order) with their counts and from P_{n−1}."""
    discounts = _discounts(counts)
    contexts, first = np.unique(grams // n_tokens, return_index=True)
    total = np.add.reduceat(counts, first).astype(np.float64)
    taken = np.add.reduceat(discounts[np.minimum(counts, 3)], first)
    count = _looked_up(grams, counts, wanted)
    context = wanted // n_tokens
    c_h, d_h = _looked_up(contexts, total, context), _looked_up(contexts, taken, context)
    c_h, d_h = np.where(c_h > 0, c_h, 1.0), np.where(c_h > 0, d_h, 1.0)  # a context never seen: all from below
    kept = np.maximum(count - discounts[np.minimum(count, 3).astype(np.int64)], 0)
    result: Array = kept / c_h + d_h / c_h * below
    return result


def _discounts(counts: Array) -> Array:
    """D(0) = 0, D(1), D(2), D(3 and more) from how many n-grams were counted 1, 2, 3, 4 times."""
    n1, n2, n3, n4 = (float(np.count_nonzero(counts == k)) for k in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return np.array([0.0, 0.5, 0.5, 0.5])  # too little text for an estimate
    y = n1 / (n1 + 2 * n2)
    return np.clip([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3], 0.0, [0.0, 1.0, 2.0, 3.0])


def _looked_up(keys: Array, values: Array, wanted: Array) -> Array:
    """The values of the wanted keys (which are in rising order), 0 for those that are not there."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Array = np.where(keys[places] == wanted, values[places], 0).astype(np.float64)
    return found
