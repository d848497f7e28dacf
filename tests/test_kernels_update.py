# SPDX-License-Identifier: BSD-3-Clause
"""The optimizers' kernels and the norms on every instruction set: formulas, tails, NaN and infinities, cuts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernel_calls import EACH, EACH_IDS, Call, Out, lanes
from tests.kernel_calls_update import FORMULAS, Variant, options, variants

each = pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
VARIANTS = list(variants())
each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=[f"{v.name}{i}" for i, v in enumerate(VARIANTS)])


def arrays(n: int, dtype: Any, seed: int) -> tuple[Any, Any, list[Any]]:
    """Parameters, gradients and state: a first array of both signs, roots of positive numbers."""
    rng = np.random.default_rng(seed)
    p, g, first, *rest = (rng.standard_normal(n) for _ in range(5))
    return p.astype(dtype), g.astype(dtype), [a.astype(dtype) for a in (first, *(abs(a) + 0.5 for a in rest))]


def start(variant: Variant, n: int, dtype: Any, seed: int) -> tuple[Any, Any, list[Any]]:
    p, g, state = arrays(n, dtype, seed)
    if variant.name in ("adadelta", "adagrad", "rmsprop"):
        state[0] = abs(state[0])
    if variant.name == "rmsprop":
        state[2] = (state[2] * 0.1).astype(dtype)
        state[0] += dtype(1)
    return p, g, state


def test_every_optimizer_has_its_formula() -> None:
    assert {variant.name for variant in VARIANTS} == set(FORMULAS)


@each
@each_variant
def test_steps(isa: str, dtype: Any, variant: Variant) -> None:
    for n in (1, 7, 100):
        p, g, state = start(variant, n, dtype, n)
        got, want = variant.call(p, g, state).run(isa, dtype), variant.want(p, g, state)
        # At most twelve roundings of values that are all below 8, quotients by at least 0.1 among them.
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=40 * np.finfo(dtype).eps * 8)


@each
@each_variant
def test_bits_do_not_depend_on_the_position(isa: str, dtype: Any, variant: Variant) -> None:
    """A step over parts is the step over the whole: the driver cuts."""
    n = 3 * lanes(isa, dtype) + 1
    p, g, state = start(variant, n, dtype, 5)
    want = variant.call(p, g, state).run(isa, dtype)
    for cut in range(n + 1):
        parts = [variant.call(p[s], g[s], [a[s] for a in state]) for s in (slice(cut), slice(cut, n))]
        got = [np.concatenate(both) for both in zip(*(part.run(isa, dtype) for part in parts), strict=True)]
        assert [a.tobytes() for a in got] == [b.tobytes() for b in want]


@each
@each_variant
def test_nan_stays_in_its_element(isa: str, dtype: Any, variant: Variant) -> None:
    n = 2 * lanes(isa, dtype) + 1
    p, g, state = start(variant, n, dtype, 6)
    want = variant.call(p, g, state).run(isa, dtype)
    for at in range(n):
        bad = g.copy()
        bad[at] = np.nan
        got = variant.call(p, bad, state).run(isa, dtype)
        others = np.arange(n) != at
        assert all((a[others] == b[others]).all() for a, b in zip(got, want, strict=True))
        # Rprop looks at signs alone, and NaN has none.
        assert np.isnan(got[0][at]) or variant.name == "rprop"
        if variant.name not in ("sgd", "rprop"):
            assert all(np.isnan(a[at]) for a in got)


@each
def test_without_decay_an_infinite_parameter_stays(isa: str, dtype: Any) -> None:
    p, g = np.array([np.inf, 1], dtype), np.zeros(2, dtype)
    (after,) = Call("update.sgd", (Out(p), g, None, None, None, options("sgd", lr=0.1), 2)).run(isa, dtype)
    assert after.tolist() == [np.inf, 1]


@each
def test_a_variance_that_rounds_below_zero_is_zero(isa: str, dtype: Any) -> None:
    """Centered RMSprop with equal gradients: s - c² is 0 but for rounding, and its root must be a number."""
    g = np.full(64, 0.1, dtype) * (1 + np.arange(64, dtype=dtype) / 64)
    values = {"lr": 0.1, "alpha": 0.5, "eps": 1e-3}
    p, square, mean = np.ones(64, dtype), np.zeros(64, dtype), np.zeros(64, dtype)
    for _ in range(60):
        call = Call("update.rmsprop", (Out(p), g, Out(square), None, Out(mean), options("rmsprop", **values), 64))
        p, square, mean = call.run(isa, dtype)
    assert np.isfinite(p).all()
    assert (square - mean.astype(np.float64) ** 2 < 0).any()


# ---- norms -------------------------------------------------------------------------------------------------------

NORMS = {
    "sum_squares": lambda x: float((x.astype(np.longdouble) ** 2).sum()),
    "sum_abs": lambda x: float(abs(x.astype(np.longdouble)).sum()),
    "max_abs": lambda x: float(abs(x).max(initial=0)),
}


@each
@pytest.mark.parametrize("name", NORMS)
def test_norms(isa: str, dtype: Any, name: str) -> None:
    for n in (0, 1, 2, 7, 33, 1000, 16384):
        x = np.random.default_rng(n).standard_normal(n).astype(dtype)
        (got,) = Call(f"update.{name}", (x, n)).run(isa, dtype)
        assert float(got) == pytest.approx(NORMS[name](x), rel=1e-15 * max(1, n**0.5))


@each
@pytest.mark.parametrize("name", NORMS)
def test_norms_see_nan_and_infinities_everywhere(isa: str, dtype: Any, name: str) -> None:
    n = 5 * lanes(isa, dtype) + 1
    for at in range(n):
        for value in (np.nan, np.inf, -np.inf):
            x = np.ones(n, dtype)
            x[at] = value
            (got,) = Call(f"update.{name}", (x, n)).run(isa, dtype)
            assert np.isnan(got) if np.isnan(value) else got == np.inf
    x[0], x[-1] = np.inf, np.nan
    assert np.isnan(Call(f"update.{name}", (x, n)).run(isa, dtype)[0])


@each
def test_squares_of_large_floats_are_no_infinity(isa: str, dtype: Any) -> None:
    x = np.full(9, 1e19 if dtype == np.float32 else 1e150, dtype)
    (got,) = Call("update.sum_squares", (x, 9)).run(isa, dtype)
    assert float(got) == pytest.approx(9 * float(x[0]) ** 2)
