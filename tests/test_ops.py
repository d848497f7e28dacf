# SPDX-License-Identifier: BSD-3-Clause
"""Every operation against its `Case`: values, derivatives, layouts, threads, errors; and that none is forgotten."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import pytest

import pydl
from pydl._core import dispatch
from tests.cases import CASES
from tests.harness import (
    Draw,
    Error,
    Sample,
    bind,
    check_close,
    check_values,
    cotangents,
    describe,
    differentiable,
    each,
    expected,
    identical,
    is_float,
    leaves,
    rounded,
    run,
    tensors,
    tolerance,
)
from tests.layouts import LAYOUTS, stretched
from tests.sampling import each_sample

T = TypeVar("T")
DTYPES = {"f32": np.float32, "f64": np.float64}
SAMPLES: dict[str, list[Sample]] = {name: list(case.samples(Draw(name))) for name, case in CASES.items()}
FLOATS = {name: [s for s in some if any(is_float(a) for a in leaves(s.args))] for name, some in SAMPLES.items()}
SMOOTH = {name: [s for s in some if CASES[name].order and s.smooth] for name, some in FLOATS.items()}
TWICE = {name: some for name, some in SMOOTH.items() if CASES[name].order > 1}
ERRORS: dict[str, list[Error]] = {name: list(case.errors(Draw(name))) for name, case in CASES.items()}


def of_torch(samples: dict[str, list[T]]) -> dict[str, list[T]]:
    """Those of the operations that PyTorch has."""
    return {name: some for name, some in samples.items() if CASES[name].in_torch}


def test_every_operation_has_a_case_and_every_case_an_operation() -> None:
    unnamed = {"getitem"}  # x[...]
    assert set(dispatch.registry) - set(CASES) == set(), "write their Cases in tests/cases"
    assert set(CASES) - set(dispatch.registry) == unnamed, "Cases of what is not declared"


def test_every_operation_is_offered() -> None:
    steps = {"diagonal_adjoint", "index_adjoint", "max_along", "min_along", "scatter_src", "vector_norm"}  # of others
    hidden = {name for name in dispatch.registry if not hasattr(pydl.ops, name)}
    assert hidden == steps, "an operation's name belongs in __all__ of its family"


@pytest.mark.parametrize("name", CASES)
def test_samples_cover_empty_and_single_elements(name: str) -> None:
    sizes = {a.size for sample in SAMPLES[name] for a in leaves(sample.args) if isinstance(a, np.ndarray)}
    least = {0, 2} if name == "glu" else {0, 1}  # its size is even
    assert not sizes or least <= sizes, f"the Case's samples have arrays of {sorted(sizes)} elements, not of {least}"


# Arguments that no sample varies: without effect, or tested elsewhere.
UNVARIED: dict[str, set[str]] = {
    "": {
        *("_stacklevel", "sparse_grad", "stable", "sorted", "assume_unique"),  # accepted without effect
        *("size_average", "reduce"),  # PyTorch's old words for `reduction`: tests/lines_losses.py
        *("inplace", "memory_format"),  # tests/test_activations.py, tests/test_formats.py
    },
    "max": {"other"},  # given by position
    "min": {"other"},
    "rrelu": {"training"},  # random: tests/test_activations.py
}


def _signature(name: str) -> inspect.Signature:
    return inspect.signature(dispatch.registry[name])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if name in dispatch.registry and not case.call])
def test_samples_vary_every_argument(name: str) -> None:
    """Else nothing says what an argument does, and no gradient of it is compared."""
    parameters = _signature(name).parameters
    varied: set[str] = set()
    for sample in SAMPLES[name]:
        given = _signature(name).bind(*sample.args, **sample.kwargs).arguments
        varied |= {key for key, value in given.items() if describe(value) != describe(parameters[key].default)}
    exempt = {key for key in (*UNVARIED[""], *UNVARIED.get(name, ())) if name != "scatter" or key != "reduce"}
    assert set(parameters) - varied <= exempt, "write samples of the Case in which these differ from the default"


def _keywords() -> Iterator[Any]:
    for name, samples in SAMPLES.items():
        keys = {key for sample in samples for key, value in sample.kwargs.items() if is_float(value)}
        for key in sorted(keys) if CASES[name].order and name in dispatch.registry else ():
            yield pytest.param(name, key, next(s for s in samples if is_float(s.kwargs.get(key))), id=f"{name}-{key}")


@pytest.mark.parametrize("name, key, sample", list(_keywords()))
def test_tensors_given_by_keyword_have_no_gradient(name: str, key: str, sample: Sample) -> None:
    """Gradients are compared of those given by position: what can have one must be given so."""
    given, _ = tensors(pydl, rounded(sample, np.float64))
    x = given.kwargs[key].requires_grad_()
    try:
        outputs = differentiable(leaves(bind(pydl, name, CASES[name])(*given.args, **given.kwargs)))
    except RuntimeError as error:
        assert re.search("differentiable|derivative|leaf", str(error)), error
        return
    v = [pydl.from_numpy(c) for c in cotangents(outputs, np.float64)]
    assert not outputs or pydl.autograd.grad(outputs, [x], v, allow_unused=True) == (None,)


@each_sample(SAMPLES)
def test_values(name: str, sample: Sample) -> None:
    check_values(name, CASES[name], sample)


def _slope(name: str, sample: Sample, directions: list[np.ndarray], v: list[np.ndarray]) -> float:
    """The reference's derivative of Σ ⟨v, y⟩ along the directions: fourth-order central difference."""

    def moved(t: float) -> list[np.ndarray]:
        steps = iter(directions)
        shifted = each(sample.args, lambda a: a.astype(np.longdouble) + t * next(steps) if is_float(a) else a)
        return [y for y in expected(CASES[name], Sample(shifted, sample.kwargs)) if y.dtype.kind == "f"]

    def central(h: float) -> Any:
        return sum(np.sum(c * (p - m)) for c, p, m in zip(v, moved(h), moved(-h), strict=True)) / (2 * h)

    h = 1e-4
    return float((4 * central(h) - central(2 * h)) / 3)


@each_sample(SMOOTH)
def test_gradients_are_the_references(name: str, sample: Sample) -> None:
    sample = rounded(sample, np.float64)
    values, grads = run(pydl, name, CASES[name], sample, grad=True)
    rng = np.random.default_rng(5)
    directions = [rng.standard_normal(a.shape) for a in leaves(sample.args) if is_float(a)]
    given, _ = tensors(pydl, sample, grad=True)
    outputs = differentiable(leaves(bind(pydl, name, CASES[name])(*given.args, **given.kwargs)))
    numerical = _slope(name, sample, directions, cotangents(outputs, np.float64))
    analytical = sum(float(np.sum(g * u)) for g, u in zip(grads, directions, strict=True))
    if not np.isfinite(numerical):
        assert all(np.isnan(v).any() for v in values), "a finite function with infinite slope is not smooth"
        return
    scale = max(1.0, sum(float(np.abs(g * u).sum()) for g, u in zip(grads, directions, strict=True)))
    assert abs(analytical - numerical) <= 1e-9 * scale


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.order])
def test_gradients_that_are_kept_share_no_memory(name: str) -> None:
    """Else a change of one grad in place, as clipping makes, would change another, or the gradient that was given."""
    for sample in SMOOTH[name][:4]:
        given, inputs = tensors(pydl, rounded(sample, np.float32), grad=True)
        outputs = differentiable(leaves(bind(pydl, name, CASES[name])(*given.args, **given.kwargs)))
        v = [pydl.from_numpy(c) for c in cotangents(outputs, np.float32)]
        pydl.autograd.backward(outputs, v)
        grads = [x.grad for x in inputs if x.grad is not None]
        for i, grad in enumerate(grads):
            assert not any(np.shares_memory(grad.numpy(), t.detach().numpy()) for t in (*grads[:i], *v, *inputs))


def _finite(name: str, sample: Sample) -> bool:
    return all(np.isfinite(np.asarray(v, float)).all() for v in run(pydl, name, CASES[name], sample)[0])


@each_sample(TWICE)
def test_second_derivatives(name: str, sample: Sample) -> None:
    sample = rounded(sample, np.float64)
    if sum(a.size for a in leaves(sample.args) if is_float(a)) > 2000 or not _finite(name, sample):
        pytest.skip("too large for element-wise differences, or nan by definition")
    given, inputs = tensors(pydl, sample, grad=True)
    call = bind(pydl, name, CASES[name])

    def function(*xs: Any) -> Any:
        todo = iter(xs)
        taken = {id(x) for x in inputs}
        args = each(given.args, lambda a: next(todo) if id(a) in taken else a)
        return differentiable(leaves(call(*args, **given.kwargs)))

    assert pydl.autograd.gradgradcheck(function, inputs, fast_mode=True)


VARIANTS = [pytest.param(name, v, id=f"{name}-{v}") for name, case in CASES.items() for v in case.variants]


@pytest.mark.parametrize("name, variant", VARIANTS)
def test_every_back_end_computes_the_same(name: str, variant: str) -> None:
    case, n_tried = CASES[name], 0
    for sample in SAMPLES[name]:
        for dtype in DTYPES.values():
            given = rounded(sample, dtype)
            try:
                value = case.variants[variant](*given.args, **given.kwargs)
            except ValueError:
                continue
            n_tried += 1
            check_close(value, expected(case, given)[0], tolerance(case, given, dtype), True, f"{variant} ({given})")
    assert n_tried > 5


def _laid_out(sample: Sample, layout: str) -> tuple[Sample, Sample]:
    """The sample in another layout, and contiguous with the same values."""
    if layout == "stretched":
        changed = each(sample.args, lambda a: stretched(a) if is_float(a) else a)
        return Sample(changed, sample.kwargs), Sample(
            each(changed, lambda a: np.array(a, order="C") if is_float(a) else a), sample.kwargs
        )

    def change(a: Any) -> Any:
        other = LAYOUTS[layout](a) if is_float(a) else None
        return a if other is None else other

    return Sample(each(sample.args, change), sample.kwargs), sample


@each_sample(FLOATS)
def test_any_layout_gives_the_bits_of_the_contiguous_one(name: str, sample: Sample) -> None:
    """Forward and backward; only a view may refuse a layout."""
    case = CASES[name]
    plain = rounded(sample, np.float32)
    contiguous = run(pydl, name, case, plain, grad=True)
    for layout in (*LAYOUTS, "stretched"):
        changed, same = _laid_out(plain, layout)
        wanted = contiguous if same is plain else run(pydl, name, case, same, grad=True)
        try:
            got = run(pydl, name, case, changed, grad=True)
        except RuntimeError:
            assert name == "view" and layout in ("transposed", "stepped", "reversed", "stretched"), layout
            continue
        for a, b in zip((*got[0], *got[1]), (*wanted[0], *wanted[1]), strict=True):
            if case.fixed_order:
                assert identical(a, b), layout
            else:
                check_close(a, b, 2 * tolerance(case, plain, np.float32), True, f"{layout} ({sample})")


@functools.lru_cache(maxsize=1)  # for both types, which come one after the other
def _large(name: str) -> Sample:
    make = CASES[name].bench
    assert make is not None
    return make(Draw(name))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.bench])
def test_two_threads_give_the_bits_of_one(name: str, dtype: str, threads: None) -> None:
    case = CASES[name]
    sample = rounded(_large(name), DTYPES[dtype])
    results = []
    for n in (1, 2):
        pydl.set_num_threads(n)
        results.append(run(pydl, name, case, sample, grad=True))
    for a, b in zip((*results[0][0], *results[0][1]), (*results[1][0], *results[1][1]), strict=True):
        assert identical(a, b)


IN_PLACE = {name: some for name, some in FLOATS.items() if hasattr(pydl.Tensor, name + "_")}


@each_sample({name: [s for s in some if is_float(s.args[0])] for name, some in IN_PLACE.items()})
def test_in_place_forms_change_the_tensor_itself(name: str, sample: Sample) -> None:
    sample = rounded(sample, np.float32)
    wanted, wanted_grads = run(pydl, name, CASES[name], sample, grad=True)
    if wanted[0].shape != sample.args[0].shape:
        pytest.skip("the result has no room in the tensor")
    given, inputs = tensors(pydl, sample, grad=True)
    target = given.args[0].clone()
    address, version = target.data_ptr(), target._version
    result = getattr(target, name + "_")(*given.args[1:], **given.kwargs)
    assert result is target
    assert target.data_ptr() == address
    assert target._version == version + 1
    assert identical(target.detach().numpy(), wanted[0].astype(np.float32))
    if wanted_grads:
        v = [pydl.from_numpy(c) for c in cotangents([target], np.float32)]
        grads = pydl.autograd.grad([target], inputs, v, allow_unused=True)
        for g, w in zip(grads, wanted_grads, strict=True):
            got = np.zeros(w.shape) if g is None else g.numpy()
            np.testing.assert_allclose(got, w, rtol=4e-7 * CASES[name].factor, atol=4e-7 * np.abs(w).max(initial=0))


def _of_two(sample: Sample) -> bool:
    """Whether it is a call with two tensors of one shape and nothing else."""
    shapes = [a.shape if is_float(a) else None for a in sample.args]
    return len(shapes) == 2 and shapes[0] == shapes[1] and None not in shapes and not sample.kwargs


OF_TWO = [name for name in CASES if hasattr(pydl.Tensor, name + "_") and any(map(_of_two, SAMPLES[name]))]


@pytest.mark.parametrize("recorded", [False, True], ids=["plain", "recorded"])
@pytest.mark.parametrize("shift", [1, -1])
@pytest.mark.parametrize("name", ["copy", *OF_TWO])
def test_in_place_forms_read_before_they_overwrite(name: str, shift: int, recorded: bool) -> None:
    """The other operand lies in the same memory, one element away."""
    memory = pydl.from_numpy(Draw(name).positive(2001)).requires_grad_(recorded) * 1
    target, other = (memory[1:], memory[:-1])[::shift]
    apart = target.detach().clone(), other.detach().clone()
    wanted = apart[1] if name == "copy" else bind(pydl, name, CASES[name])(*apart)
    getattr(target, name + "_")(other)
    assert identical(target.detach().numpy(), wanted.numpy().astype(np.float64))


SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 1e-40, 3e38, -3e38)
ONE_BY_ONE = [name for name in ("neg", "abs", "exp", "log", "sqrt", "relu", "tanh", "sigmoid") if name in CASES]


@pytest.mark.parametrize("name", ONE_BY_ONE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values_do_not_depend_on_their_position(name: str, dtype: str) -> None:
    call = bind(pydl, name, CASES[name])
    for special in np.array(SPECIAL, DTYPES[dtype]):
        alone = call(pydl.from_numpy(np.array([special]))).numpy()
        with np.errstate(all="ignore"):
            wanted = np.asarray(CASES[name].reference(np.array([special], np.longdouble))).astype(DTYPES[dtype])
        assert np.isnan(wanted) == np.isnan(alone)
        if np.isfinite(wanted):
            assert abs(alone - wanted) <= 2 * np.spacing(np.abs(wanted))
        elif not np.isnan(wanted):
            assert alone == wanted
        assert np.isnan(wanted) or np.signbit(alone) == np.signbit(wanted)
        for n in (*range(1, 50), 97):
            for position in range(n):
                x = np.full(n, 0.5, DTYPES[dtype])
                x[position] = special
                y = call(pydl.from_numpy(x)).numpy()
                assert identical(y[position : position + 1], alone) or np.isnan(alone)
                assert np.isnan(y[position]) == np.isnan(alone[0])
                assert np.count_nonzero(y == y[position - 1]) >= n - 1 or n == 1


@each_sample(ERRORS)
def test_errors_say_what_is_wrong(name: str, error: Error) -> None:
    given, _ = tensors(pydl, error.sample)
    with pytest.raises(error.kind, match=error.message) as caught:
        bind(pydl, name, CASES[name])(*given.args, **given.kwargs)
    assert str(caught.value), "an error without a word"


@pytest.mark.parity
@each_sample(of_torch(ERRORS))
def test_error_types_are_torchs(name: str, error: Error) -> None:
    import torch

    given, _ = tensors(torch, error.sample)
    with pytest.raises(Exception) as theirs:
        bind(torch, name, CASES[name])(*given.args, **given.kwargs)
    given, _ = tensors(pydl, error.sample)
    with pytest.raises(theirs.type):
        bind(pydl, name, CASES[name])(*given.args, **given.kwargs)


def _torchs(name: str, sample: Sample) -> tuple[list[np.ndarray], list[np.ndarray]]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns where the result is nan by definition
        try:
            return run(torch, name, CASES[name], sample, grad=CASES[name].order > 0)
        except RuntimeError as error:  # it cannot differentiate a scatter that adds, or from a larger source
            assert re.search("invalid gradient|derivative for aten::scatter", str(error)) and name.startswith("scatter")
            return run(torch, name, CASES[name], sample)


@pytest.mark.parity
@each_sample(of_torch(SAMPLES))
def test_torch_gives_the_same(name: str, sample: Sample) -> None:
    case = CASES[name]
    for dtype in DTYPES.values():
        given = rounded(sample, dtype)
        theirs = _torchs(name, given)
        ours = run(pydl, name, case, given, grad=case.order > 0)
        bound = tolerance(case, given, dtype) * 4 + 8 * float(np.finfo(dtype).eps)
        assert len(ours[0]) == len(theirs[0])
        assert len(ours[1]) == len(theirs[1]) or name.startswith("scatter")
        if (not sample.smooth or name == "hardsigmoid") and dtype is np.float64:
            theirs[1].clear()  # torch has constants in float32: 1e-12 in binary_cross_entropy, 1/6 in hardsigmoid
        for a, b in zip((*ours[0], *ours[1]), (*theirs[0], *theirs[1]), strict=False):
            assert a.dtype == b.dtype
            check_close(a, b, bound, True, f"{name}({given}) in {a.dtype}")
