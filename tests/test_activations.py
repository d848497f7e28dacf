# SPDX-License-Identifier: BSD-3-Clause
"""Activations beyond their cases: errors in ULP, special values, in place, layouts, derivatives, chance."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydl
from pydl._core import formats
from pydl.nn import functional as F
from pydl.ops import activations
from tests.cases import CASES
from tests.kernel_calls import EACH, EACH_IDS, Array, function

# Name, keywords, and the largest relative error in units of eps that the kernels keep, also far out in the tails.
FORMS: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("relu6", {}, 0),
    ("leaky_relu", {"negative_slope": 0.25}, 1),
    ("elu", {"alpha": 1.5}, 1.5),
    ("selu", {}, 2),
    ("celu", {"alpha": 2.0}, 1.5),
    ("hardtanh", {"min_val": -0.5, "max_val": 1.5}, 0),
    ("threshold", {"threshold": 0.25, "value": -2.0}, 0),
    ("hardsigmoid", {}, 1),
    ("hardswish", {}, 2),
    ("hardshrink", {}, 0),
    ("softshrink", {}, 1),
    ("softplus", {"beta": 2.0, "threshold": 10.0}, 3),
    ("gelu", {}, 6),
    ("gelu", {"approximate": "tanh"}, 120),  # the error of its argument times the argument, up to 90
    ("silu", {}, 3),
    ("mish", {}, 4),
    ("logsigmoid", {}, 3),
    ("softsign", {}, 1.5),
    ("tanhshrink", {}, 16),  # just above 0.56 the difference is a tenth of x
    ("erf", {}, 1.5),
    ("erfc", {}, 2),
)
ELSEWHERE = ("expm1", "log1p")  # tests/test_vmath.py
# What is not listed keeps the bound of its Case.
LISTED = (*(name for name, _, _ in FORMS), *ELSEWHERE)
FORMS += tuple((name, {}, CASES[name].factor) for name in activations.__all__ if name in CASES and name not in LISTED)


def each(forms: tuple[tuple[str, dict[str, Any], float], ...]) -> pytest.MarkDecorator:
    ids = [name + "".join(f"-{v}" for v in keywords.values()) for name, keywords, _ in forms]
    return pytest.mark.parametrize("name, keywords, bound", forms, ids=ids)


each_form = each(FORMS)
each_form_of_torch = each(tuple(form for form in FORMS if CASES[form[0]].in_torch))
KINDS = ("float32", "float64")
each_kind = pytest.mark.parametrize("kind", KINDS)
# Functions of nn.functional with an underscore, and methods of tensors.
UNDERSCORES = ("elu", "selu", "celu", "leaky_relu", "hardtanh", "threshold")


def find(T: Any, name: str) -> Callable[..., Any]:
    return getattr(T.nn.functional, name, None) or getattr(T, name)


IN_PLACE = [(n, k) for n, k, _ in FORMS if "inplace" in inspect.signature(find(pydl, n)).parameters]


def points(dtype: Any) -> Array:
    rng = np.random.default_rng(0)
    small = rng.standard_normal(4000) * 2.0 ** -rng.integers(0, 30, 4000)
    return np.concatenate([rng.uniform(-9, 9, 20_000), small, [0.0]]).astype(dtype)


# --- values -------------------------------------------------------------------------------------------------------


@each_form
@each_kind
def test_relative_errors(name: str, keywords: dict[str, Any], bound: float, kind: str) -> None:
    x = points(kind)
    y = find(pydl, name)(pydl.from_numpy(x), **keywords).numpy()
    exact = CASES[name].reference(x.astype(np.longdouble), **keywords)
    error = np.abs(y - exact)
    worst = int(np.argmax(error - bound * np.finfo(y.dtype).eps * np.abs(exact)))
    assert error[worst] <= bound * np.finfo(y.dtype).eps * np.abs(exact[worst]), (x[worst], y[worst], exact[worst])


SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, -0.0, 0.0, 3.0, -3.0, 6.0, 0.5, -0.5, 1e-40, -1e-40, 3e38, -3e38, 89.0, -104.0]
)
# Where torch gives +0 (its vector path, or MKL) for an odd function of -0.
POSITIVE_ZERO = ("gelu", "softshrink")


def same(ours: Array, theirs: Array, x: Array, name: str) -> None:
    """Equal but for the rounding of torch's formulas, some of which cancel: an error of a few ULP of x."""
    finite = np.isfinite(theirs) & np.isfinite(x)
    np.testing.assert_array_equal(ours[~finite], theirs[~finite], err_msg=name)
    eps = np.finfo(ours.dtype).eps
    error = np.abs(ours[finite] - theirs[finite])
    assert (error <= 64 * eps * np.abs(theirs[finite]) + 4 * eps * np.abs(x[finite])).all(), (name, ours, theirs)


@pytest.mark.parity
@each_form_of_torch
@each_kind
def test_special_values_are_torchs(name: str, keywords: dict[str, Any], bound: float, kind: str) -> None:
    import torch

    x = SPECIAL.astype(kind)
    ours, theirs = (find(T, name)(T.from_numpy(x), **keywords).numpy() for T in (pydl, torch))
    same(ours, theirs, x, name)
    if name not in POSITIVE_ZERO:
        assert (np.signbit(ours) == np.signbit(theirs))[x == 0].all()


# Whether torch gives NaN depends on whether the NaN stands in a full vector; ours are as its scalar path.
NAN_PASSES = ("relu6", "leaky_relu", "hardtanh", "threshold", "hardshrink", "softshrink")


AT_KINKS = [  # (name, arguments, x, slope): flat if one side is, else from the left
    ("relu", {}, 0, 0), ("relu6", {}, 0, 0), ("relu6", {}, 6, 0), ("leaky_relu", {"negative_slope": 0.3}, 0, 0.3),
    ("elu", {"alpha": 1.5}, 0, 1.5), ("celu", {"alpha": 1.5}, 0, 1), ("selu", {}, 0, 1.7580993408473766),
    ("hardtanh", {"min_val": -2, "max_val": 3}, -2, 0), ("hardtanh", {"min_val": -2, "max_val": 3}, 3, 0),
    ("threshold", {"threshold": 0.5, "value": 2}, 0.5, 0), ("hardshrink", {}, 0.5, 0), ("hardshrink", {}, -0.5, 0),
    ("softshrink", {}, 0.5, 0), ("softshrink", {}, -0.5, 0), ("hardsigmoid", {}, -3, 0), ("hardsigmoid", {}, 3, 0),
    ("hardswish", {}, -3, 0), ("hardswish", {}, 3, 1), ("softplus", {"threshold": 0}, 0, 0.5),
]  # fmt: skip


@each_kind
@pytest.mark.parametrize("name, keywords, x, slope", AT_KINKS, ids=[f"{name}-{x}" for name, _, x, _ in AT_KINKS])
def test_slopes_at_kinks(name: str, keywords: dict[str, Any], x: float, slope: float, kind: str) -> None:
    at = pydl.full((19,), float(x), dtype=getattr(pydl, kind), requires_grad=True)
    (dx,) = pydl.autograd.grad(find(pydl, name)(at, **keywords).sum(), at)
    np.testing.assert_allclose(dx.numpy(), slope, rtol=2 * np.finfo(kind).eps)


@pytest.mark.parity
@each_form_of_torch
@each_kind
def test_special_gradients_are_torchs(name: str, keywords: dict[str, Any], bound: float, kind: str) -> None:
    import torch

    found = []
    for T in (pydl, torch):
        x = T.from_numpy(SPECIAL.astype(kind)).requires_grad_()
        y = find(T, name)(x, **keywords)
        (g,) = T.autograd.grad(y, x, T.from_numpy(np.full(SPECIAL.size, 0.5, kind)))
        found.append(g.numpy())
    ours, theirs = found
    if name in NAN_PASSES:
        assert ours[0] == 0.5 * (keywords.get("negative_slope", 1))
    else:
        assert np.isnan(ours[0]) or name == "hardsigmoid"
    if name == "hardsigmoid" and kind == "float64":
        theirs = theirs.astype(np.float32).round(7).astype(kind)  # it multiplies by a float32 1/6
        ours = ours.astype(np.float32).round(7).astype(kind)
    np.testing.assert_allclose(
        ours[1:], theirs[1:], rtol=1e-4 if kind == "float32" else 1e-12, atol=1e-37, err_msg=name
    )


@pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
def test_neither_position_nor_neighbors_nor_strides_matter(isa: str, dtype: Any) -> None:
    """Forward and backward of every kernel: the bits of an element alone, in runs, in tails, strided, in place."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.standard_normal(90) * 4, SPECIAL]).astype(dtype)
    dy = rng.standard_normal(x.size).astype(dtype)
    p = np.array([0.5, 1.25, 0.75])
    spread = np.zeros(3 * x.size, dtype)
    for name in [n for n in pydl._core.kernels.entries() if n.startswith("activation_fwd.")]:
        forward, backward = (
            function(isa, dtype, f"activation_{way}.{name.partition('.')[2]}") for way in ("fwd", "bwd")
        )
        whole, dx = np.zeros_like(x), np.zeros_like(x)
        forward(x.ctypes.data, 1, whole.ctypes.data, 1, x.size, p.ctypes.data)
        backward(dy.ctypes.data, 1, x.ctypes.data, 1, dx.ctypes.data, 1, x.size, p.ctypes.data)
        one, one_dx = np.zeros_like(x), np.zeros_like(x)
        for i in range(x.size):
            at = i * x.itemsize
            forward(x.ctypes.data + at, 1, one.ctypes.data + at, 1, 1, p.ctypes.data)
            backward(dy.ctypes.data + at, 1, x.ctypes.data + at, 1, one_dx.ctypes.data + at, 1, 1, p.ctypes.data)
        np.testing.assert_array_equal(whole, one, err_msg=name)
        np.testing.assert_array_equal(dx, one_dx, err_msg=name)
        spread[::3] = x
        forward(spread.ctypes.data, 3, spread.ctypes.data, 3, x.size, p.ctypes.data)
        np.testing.assert_array_equal(spread[::3], whole, err_msg=name)
        same_place = dy.copy()
        backward(same_place.ctypes.data, 1, x.ctypes.data, 1, same_place.ctypes.data, 1, x.size, p.ctypes.data)
        np.testing.assert_array_equal(same_place, dx, err_msg=name)


@each_form
def test_own_memory_order_stays(name: str, keywords: dict[str, Any], bound: float) -> None:
    x = pydl.randn(2, 5, 3, 4)
    own = formats.in_own_format(x).clone().requires_grad_()
    y = find(pydl, name)(own, **keywords)
    assert formats.has_own_format(y)
    (g,) = pydl.autograd.grad(y, own, pydl.ones(2, 5, 3, 4))
    plain = x.clone().requires_grad_()
    z = find(pydl, name)(plain, **keywords)
    (h,) = pydl.autograd.grad(z, plain, pydl.ones(2, 5, 3, 4))
    assert y.detach().numpy().tobytes() == z.detach().numpy().tobytes()
    assert g.numpy().tobytes() == h.numpy().tobytes()


@pytest.mark.parametrize("channels", [1, 5])
def test_prelu_and_glu_keep_the_memory_order(channels: int) -> None:
    x, w = pydl.randn(2, 2 * channels, 3, 4), pydl.randn(2 * channels)
    for call in (lambda t: F.prelu(t, w), lambda t: F.glu(t, 1), lambda t: F.glu(t, 3)):
        found = []
        for start in (x, formats.in_own_format(x)):
            leaf = start.clone().requires_grad_()
            y = call(leaf)
            (g,) = pydl.autograd.grad(y.square().sum(), leaf)
            found.append((y.detach().numpy(), g.numpy()))
        assert (found[0][0] == found[1][0]).all() and (found[0][1] == found[1][1]).all()


# --- in place -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, keywords", IN_PLACE, ids=[n for n, _ in IN_PLACE])
@each_kind
def test_in_place(name: str, keywords: dict[str, Any], kind: str) -> None:
    """The same memory with the same bits; the same gradient up to rounding; one more version; no leaves written."""
    x = np.random.default_rng(3).standard_normal((5, 7)).astype(kind) * 3
    leaf = pydl.from_numpy(x).requires_grad_()
    wanted = find(pydl, name)(leaf, **keywords)
    (g,) = pydl.autograd.grad(wanted, leaf, pydl.ones(5, 7, dtype=wanted.dtype))
    calls = [lambda t: find(pydl, name)(t, **keywords, inplace=True)]
    if name in UNDERSCORES:
        calls.append(lambda t: getattr(F, f"{name}_")(t, **keywords))
    for call in calls:
        target = leaf * 1
        address, version = target.data_ptr(), target._version
        assert call(target) is target
        assert target.data_ptr() == address and target._version == version + 1
        assert target.detach().numpy().tobytes() == wanted.detach().numpy().tobytes()
        (h,) = pydl.autograd.grad(target, leaf, pydl.ones(5, 7, dtype=target.dtype))
        assert h.numpy().tobytes() == g.numpy().tobytes()
        with pytest.raises(RuntimeError, match="leaf"):
            call(leaf)
        view = (leaf * 1)[1:3]
        call(view)
        assert view.detach().numpy().tobytes() == wanted.detach()[1:3].numpy().tobytes()


@pytest.mark.parametrize("slope", [-0.5, 0.0])
def test_leaky_relu_in_place_with_any_slope(slope: float) -> None:
    leaf = pydl.tensor([-2.0, -1.0, 3.0], requires_grad=True)
    (g,) = pydl.autograd.grad(F.leaky_relu_(leaf * 1, slope).sum(), leaf)
    assert g.tolist() == [slope, slope, 1.0]


def test_a_change_of_what_was_saved_is_found() -> None:
    x = pydl.ones(3, requires_grad=True) * 1
    y = F.gelu(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    x = pydl.ones(3, requires_grad=True) * 1
    y = F.relu6(x)
    y += 1  # keeps its input, not the result
    y.sum().backward()


# --- derivatives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, keywords", [f[:2] for f in FORMS if f[0] not in (*NAN_PASSES, "hardsigmoid")], ids=str)
def test_third_derivatives_of_smooth_ones(name: str, keywords: dict[str, Any]) -> None:
    x = (pydl.tensor([-1.7, -0.6, 0.4, 1.3], dtype=pydl.float64)).requires_grad_()
    y = find(pydl, name)(x, **keywords)
    (first,) = pydl.autograd.grad(y.sum(), x)
    (recorded,) = pydl.autograd.grad(find(pydl, name)(x, **keywords).sum(), x, create_graph=True)
    np.testing.assert_allclose(recorded.detach().numpy(), first.numpy(), rtol=1e-13)

    def slope(t: Any) -> Any:
        return pydl.autograd.grad(find(pydl, name)(t, **keywords).sum(), t, create_graph=True)[0]

    assert pydl.autograd.gradgradcheck(slope, [x])


def test_piecewise_linear_derivatives_are_linear() -> None:
    for name, keywords in (("leaky_relu", {"negative_slope": 0.25}), ("hardsigmoid", {}), ("relu6", {})):
        x = pydl.tensor([-4.0, -1.0, 2.0, 7.0], dtype=pydl.float64, requires_grad=True)
        (g,) = pydl.autograd.grad(find(pydl, name)(x * 1, **keywords).sum(), x, create_graph=True)
        assert not g.requires_grad or pydl.autograd.grad(g.sum(), x, allow_unused=True)[0] in (None, 0)


# --- chance -------------------------------------------------------------------------------------------------------


def test_rrelu_in_training() -> None:
    pydl.manual_seed(0)
    x = pydl.randn(100_000, dtype=pydl.float64).requires_grad_()
    y = F.rrelu(x, 0.2, 0.6, training=True)
    (g,) = pydl.autograd.grad(y.sum(), x)
    slope, below = g.numpy(), x.detach().numpy() <= 0
    assert (slope[~below] == 1).all()
    assert slope[below].min() >= 0.2 and slope[below].max() < 0.6
    assert abs(slope[below].mean() - 0.4) < 0.003 and abs(slope[below].std() - 0.4 / math.sqrt(12)) < 0.003
    assert (y.detach().numpy() == slope * x.detach().numpy()).all()
    pydl.manual_seed(0)
    pydl.randn(100_000, dtype=pydl.float64)
    target = x * 1
    assert F.rrelu_(target, 0.2, 0.6, True) is target and (target.detach().numpy() == y.detach().numpy()).all()


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax(hard: bool) -> None:
    pydl.manual_seed(0)
    p = np.array([0.1, 0.2, 0.7])
    logits = pydl.tensor(np.tile(np.log(p), (40_000, 1)), requires_grad=True)
    y = F.gumbel_softmax(logits, tau=0.5, hard=hard, dim=1)
    values = y.detach().numpy()
    np.testing.assert_allclose(values.sum(1), 1, rtol=1e-12)
    share = np.bincount(values.argmax(1), minlength=3) / len(values)
    assert np.abs(share - p).max() < 0.01  # the Gumbel-max trick draws from the distribution
    if hard:
        assert (np.sort(values, axis=1) == [0, 0, 1]).all()
    (g,) = pydl.autograd.grad((y * pydl.tensor([1.0, 2.0, 3.0])).sum(), logits)
    assert g.abs().sum().item() > 0 and np.abs(g.numpy().sum(1)).max() < 1e-12
    with pytest.raises(RuntimeError, match="floating"):
        F.gumbel_softmax(pydl.tensor([1, 2]))
    with pytest.warns(UserWarning, match="eps"):
        F.gumbel_softmax(logits, eps=1e-3)


def test_relatives_of_exp_and_log_are_compiled() -> None:
    from pydl._core.dispatch import registry

    x = np.array([-1.0, -0.5, -0.0, 1e-300, 1e-10, 0.7, 30.0])
    for name, exact in (("expm1", np.expm1), ("log1p", np.log1p)):
        assert not getattr(registry[name], "numpy_backed", False)
        with np.errstate(all="ignore"):
            wanted = exact(x.astype(np.longdouble)).astype(np.float64)
        y = getattr(pydl, name)(pydl.from_numpy(x))
        np.testing.assert_array_max_ulp(y.numpy(), wanted, 2)
        assert np.signbit(y.numpy()[2])
        in_place = pydl.from_numpy(x.copy())
        assert getattr(in_place, name + "_")() is in_place and in_place.numpy().tobytes() == y.numpy().tobytes()
        assert getattr(pydl, name)(pydl.tensor([1, 2])).dtype is pydl.float32
