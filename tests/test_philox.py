# SPDX-License-Identifier: BSD-3-Clause
"""The random number kernels: Philox's published vectors, the laws, the same bits for any threads, cut and platform."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pydl._core import kernels, random
from pydl._core.tape import wrap

Array = np.ndarray[Any, np.dtype[Any]]
N = 200_003
KEY = 0x0123_4567_89AB_CDEF
FLOATS = [np.float32, np.float64]


@pytest.fixture
def threads() -> Iterator[None]:
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


def uniform(n: int, dtype: Any, offset: int = 0, low: float = 0, high: float = 1, key: int = KEY) -> Array:
    out = np.empty(n, dtype)
    random.philox_uniform(wrap(out), key, offset, low, high)
    return out


def normal(n: int, dtype: Any, offset: int = 0, mean: float = 0, std: float = 1) -> Array:
    out = np.empty(n, dtype)
    random.philox_normal(wrap(out), KEY, offset, mean, std)
    return out


def integers(n: int, low: int, high: int, offset: int = 0, key: int = KEY) -> Array:
    out = np.empty(n, np.int64)
    random.philox_randint(wrap(out), key, offset, low, high)
    return out


@pytest.mark.parametrize(
    ("counter", "key", "want"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(counter: str, key: str, want: str) -> None:
    """The vectors that the generator's authors publish with Random123."""
    words = [tuple(int(w, 16) for w in text.split()) for text in (counter, key, want)]
    assert random.philox(words[0], words[1]) == words[2]


def test_same_numbers_everywhere() -> None:
    """SHA-256 of what this code gave when it was written: no platform, compiler or instruction set may change a bit."""
    found = {}
    for dtype in FLOATS:
        found[f"uniform {np.dtype(dtype)}"] = uniform(1001, dtype, 3, -2, 5)
        found[f"normal {np.dtype(dtype)}"] = normal(1001, dtype, 3, 1, 2)
    found["integers"] = integers(1001, -(2**62), 2**62 + 2**61, 3)
    found["permutation"] = random.philox_permutation(1001, KEY, 3)[0].array
    digests = {
        name: hashlib.sha256(a.astype(a.dtype.newbyteorder("<")).tobytes()).hexdigest()[:16]
        for name, a in found.items()
    }
    assert digests == EXPECTED


EXPECTED = {
    "uniform float32": "8c9ebf08e290c8b8",
    "normal float32": "8e0f337bbd2dc460",
    "uniform float64": "eba9895b31160d3b",
    "normal float64": "5e964cd97c78e28b",
    "integers": "6e65b01dbee2f03e",
    "permutation": "a9d2271db4515afd",
}


def test_words_are_used_as_stated() -> None:
    """24 bits of each word make a float32; 53 of each pair a float64."""
    words = np.array([random.philox((c, 0, 0, 0), (KEY & 0xFFFFFFFF, KEY >> 32)) for c in range(5)], np.uint64)
    assert np.array_equal(uniform(20, np.float32), ((words.reshape(-1) >> 8) * 2.0**-24).astype(np.float32))
    pairs = (words[:, [1, 3]] << np.uint64(32)) | words[:, [0, 2]]
    assert np.array_equal(uniform(10, np.float64), (pairs.reshape(-1) >> np.uint64(11)) * 2.0**-53)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("draw", [uniform, normal])
def test_cuts_and_counters(draw: Any, dtype: Any) -> None:
    """A longer call begins with a shorter one, a later offset continues it; the number of counters used is returned."""
    per_counter = 4 if dtype == np.float32 else 2
    whole = draw(1000, dtype)
    for n in (0, 1, 2, 3, 5, 127, 128, 129, 257):
        assert draw(n, dtype).tobytes() == whole[:n].tobytes()
        out = np.empty(n, dtype)
        used = (random.philox_uniform if draw is uniform else random.philox_normal)(wrap(out), KEY, 0, 0, 1)
        assert used == -(-n // per_counter)
    assert draw(500, dtype, 100).tobytes() == whole[100 * per_counter :][:500].tobytes()
    assert draw(8, dtype, 2**64 - 1)[per_counter:].tobytes() == draw(8, dtype, 0)[: 8 - per_counter].tobytes(), (
        "offsets wrap"
    )


def test_threads_do_not_matter(threads: None) -> None:
    results = []
    for n_threads in (1, 2, 3):
        kernels.set_num_threads(n_threads)
        mask = np.empty(N, bool)
        random.philox_mask(wrap(mask), KEY, 1, 0.3)
        parts = [
            uniform(N, np.float32),
            uniform(N, np.float64),
            normal(N, np.float32),
            normal(N, np.float64),
            integers(N, 0, 10),
            mask,
        ]
        results.append([part.tobytes() for part in parts])
    assert results[0] == results[1] == results[2]


def test_strided_outputs() -> None:
    want = uniform(12, np.float32).reshape(3, 4)
    for out in (
        np.empty((4, 3), np.float32).T,
        np.empty((3, 8), np.float32)[:, ::2],
        np.empty((3, 4), np.float32)[:, ::-1],
    ):
        random.philox_uniform(wrap(out), KEY, 0, 0, 1)
        assert np.array_equal(out, want)


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_law(dtype: Any) -> None:
    x = uniform(N, dtype)
    assert x.min() >= 0 and x.max() < 1
    assert stats.kstest(x, "uniform").pvalue > 1e-3
    y = uniform(N, dtype, 5, -3, 7)
    assert y.min() >= -3 and y.max() < 7
    assert stats.kstest(y, "uniform", (-3, 10)).pvalue > 1e-3
    narrow = uniform(N, dtype, 0, 1, float(np.nextafter(dtype(1), dtype(2))))
    assert (narrow == 1).all(), "the upper end is excluded even where rounding would reach it"
    assert (uniform(10, dtype, 0, 2.5, 2.5) == 2.5).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal_law(dtype: Any) -> None:
    z = normal(N, dtype)
    assert np.isfinite(z).all()
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(stats.kurtosis(z)) < 5 * (24 / N) ** 0.5 and abs(stats.skew(z)) < 5 * (6 / N) ** 0.5
    pairs = z[: N // 2 * 2].reshape(-1, 2).astype(np.float64)
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 5 / len(pairs) ** 0.5, "the two of a pair are independent"
    assert stats.kstest(stats.chi2.cdf((pairs**2).sum(1), 2), "uniform").pvalue > 1e-3
    assert stats.kstest(np.arctan2(pairs[:, 1], pairs[:, 0]), "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-3
    shifted = normal(N, dtype, 0, 3, 0.5)
    assert np.allclose(shifted, 3 + 0.5 * z.astype(np.float64), rtol=0, atol=4 * np.finfo(dtype).eps * 6)


def test_normal_is_accurate() -> None:
    """Box-Muller from the words themselves, in long double."""
    words = np.array([random.philox((c, 0, 0, 0), (KEY & 0xFFFFFFFF, KEY >> 32)) for c in range(500)], np.uint64)
    a, b = ((words[:, i + 1] << np.uint64(32)) | words[:, i] for i in (0, 2))
    r = np.sqrt(-2 * np.log(((a >> np.uint64(11)).astype(np.longdouble) + 1) / 2**53))
    angle = 2 * np.pi * (b.astype(np.longdouble) / 2**64)
    want = np.stack([r * np.cos(angle), r * np.sin(angle)], 1).reshape(-1)
    assert np.abs(normal(1000, np.float64) - want).max() < 4e-15


def test_integers_law() -> None:
    for low, high in ((0, 10), (-3, 4), (5, 6), (0, 3)):
        x = integers(N, low, high)
        assert (
            stats.chisquare(np.bincount(x - low, minlength=high - low)).pvalue > 1e-3
            if high - low > 1
            else (x == low).all()
        )
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    assert stats.kstest(integers(N, least, most) / 2.0**64 + 0.5, "uniform").pvalue > 1e-3
    uneven = integers(N, least, least + 3 * 2**62)  # a quarter of the draws is rejected: a third each without bias
    assert stats.chisquare(np.bincount((uneven.astype(np.uint64) + np.uint64(2**63)) >> np.uint64(62))).pvalue > 1e-3


def test_mask_law() -> None:
    for p in (0.0, 0.1, 0.5, 1.0):
        out = np.empty(N, bool)
        assert random.philox_mask(wrap(out), KEY, 0, p) == -(-N // 4)
        assert abs(out.mean() - p) <= 5 * (p * (1 - p) / N) ** 0.5
        assert set(out.view(np.uint8)) <= {0, 1}


def test_permutation_law() -> None:
    for n in (0, 1, 2, 7, 1000):
        order, used = random.philox_permutation(n, KEY, 0)
        assert np.array_equal(np.sort(order.array), np.arange(n))
        assert used == n // 2
    seen = dict.fromkeys(itertools.permutations(range(4)), 0)
    for offset in range(0, 24_000, 2):
        seen[tuple(random.philox_permutation(4, KEY, offset)[0].array.tolist())] += 1
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3


def test_keys_and_offsets_are_independent() -> None:
    base = uniform(N, np.float64)
    for other in (
        uniform(N, np.float64, key=KEY + 1),
        uniform(N, np.float64, key=KEY ^ 1 << 63),
        uniform(N, np.float64, N),
    ):
        assert abs(np.corrcoef(base, other)[0, 1]) < 5 / N**0.5
    assert abs(np.corrcoef(base[:-1], base[1:])[0, 1]) < 5 / N**0.5


def test_errors() -> None:
    for call, error in (
        (lambda: random.philox_uniform(wrap(np.empty(3, np.int64)), 0, 0, 0, 1), TypeError),
        (lambda: random.philox_randint(wrap(np.empty(3, np.float32)), 0, 0, 0, 1), TypeError),
        (lambda: random.philox_randint(wrap(np.empty(3, np.int64)), 0, 0, 1, 1), ValueError),
        (lambda: random.philox_mask(wrap(np.empty(3, bool)), 0, 0, 1.5), ValueError),
        (lambda: random.philox_mask(wrap(np.empty(3, bool)), 0, 0, float("nan")), ValueError),
        (lambda: random.philox_permutation(-1, 0, 0), ValueError),
        (lambda: random.philox_uniform(wrap(np.broadcast_to(np.zeros(1, np.float32), 3)), 0, 0, 0, 1), RuntimeError),
    ):
        with pytest.raises(error):
            call()
