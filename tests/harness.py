# SPDX-License-Identifier: BSD-3-Clause
"""What cases are written in (`Case`, `Sample`, `Error`, `Draw`), and how the tests run them on pydl and on torch."""

from __future__ import annotations

import functools
import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Sample:
    """Arguments of one call. Arrays stand for tensors: positional floating-point ones get gradients.

    A scalar type of NumPy, as in `dtype=np.float64`, stands for pydl's or torch's dtype of that name.
    Not `smooth` where no difference quotient exists, as at the end of a domain.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    smooth: bool = True

    def __str__(self) -> str:
        words = [describe(a) for a in self.args] + [f"{k}={describe(v)}" for k, v in self.kwargs.items()]
        return ",".join(words) or "none"


@dataclass(frozen=True, eq=False)
class Error:
    """A call that must raise: the type, and a regular expression that its message must contain."""

    sample: Sample
    kind: type[BaseException] | tuple[type[BaseException], ...]
    message: str

    def __str__(self) -> str:
        return str(self.sample)


def S(*args: Any, **kwargs: Any) -> Sample:
    """A sample; NumPy scalars become 0-d arrays."""
    return Sample(tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in args), kwargs)


def rough(*args: Any, **kwargs: Any) -> Sample:
    """A sample at a kink or at the end of the domain."""
    return Sample(args, kwargs, smooth=False)


def describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return "x".join(map(str, value.shape)) or "0d"
    if isinstance(value, list | tuple) and any(
        isinstance(v, np.ndarray | slice) or v is None or v is ... for v in value
    ):
        return "[" + ";".join(map(describe, value)) + "]"
    if isinstance(value, slice):
        return ":".join("" if v is None else str(v) for v in (value.start, value.stop, value.step))
    if isinstance(value, type):
        return value.__name__
    return "..." if value is ... else str(value).replace(" ", "")


class Draw:
    """Seeded arrays for the samples of one case; each knows the domain it stays in."""

    def __init__(self, name: str) -> None:
        self.rng = np.random.default_rng(list(name.encode()))

    def normal(self, *shape: int) -> Array:
        return np.asarray(self.rng.standard_normal(shape))

    def positive(self, *shape: int) -> Array:
        return np.asarray(self.rng.uniform(0.3, 3.0, shape))

    def near_one(self, *shape: int) -> Array:
        """Products of many stay in range."""
        return np.asarray(self.rng.uniform(0.95, 1.05, shape))

    def away(self, *shape: int) -> Array:
        """At least 0.2 from 0, where relu and abs have their kink."""
        return np.asarray(self.rng.uniform(0.2, 2.0, shape) * self.rng.choice((-1.0, 1.0), shape))

    def distinct(self, *shape: int) -> Array:
        """No two values nearer than 0.02, so that a maximum keeps its place under a small step."""
        n = math.prod(shape)
        return np.asarray((self.rng.permutation(n).reshape(shape) - n / 2 + 0.25) * min(0.05, 400.0 / max(n, 1)))

    def unit(self, *shape: int) -> Array:
        return np.asarray(self.rng.uniform(0.05, 0.95, shape))

    def simplex(self, *shape: int, dim: int = 1) -> Array:
        p = self.rng.uniform(0.1, 1.0, shape)
        return np.asarray(p / p.sum(axis=dim, keepdims=True))

    def integers(self, low: int, high: int, *shape: int) -> Array:
        return np.asarray(self.rng.integers(low, high, shape))

    def flags(self, *shape: int) -> Array:
        return np.asarray(self.rng.integers(0, 2, shape).astype(bool))


def _one(*args: Any, **kwargs: Any) -> int:
    return 1


def _none(draw: Draw) -> tuple[()]:
    return ()


@dataclass(frozen=True, eq=False)
class Case:
    """All that the tests and the benchmark have to know about one operation.

    `reference` computes it; `samples` and `errors` make calls; `bench` makes one large enough for two threads.
    `flops` counts the work of a call. `variants` are back ends that can be forced, on arrays; one that
    cannot take these arguments raises ValueError.
    `call(T, *args)` is how the operation is spelled, for `T` pydl or torch, where it is not a function of its name.
    `length(*args)` is the length of the reduction and `factor` the stated constant in the tolerance
    eps · √length · factor. `order` says how many times the operation can be differentiated.
    `in_torch` is False where PyTorch has no such operation: then nothing is compared with it.
    `fixed_order` is False where the strides of the operands choose the algorithm, and so the order of the additions:
    matrix × vector sums along rows or along columns, whichever lies together in memory. Then another layout gives the
    same within the tolerance, not the same bits.
    """

    reference: Callable[..., Any]
    samples: Callable[[Draw], Iterable[Sample]]
    errors: Callable[[Draw], Iterable[Error]] = _none
    bench: Callable[[Draw], Sample] | None = None
    flops: Callable[..., float] | None = None
    variants: Mapping[str, Callable[..., Array]] = field(default_factory=dict)
    call: Callable[..., Any] | None = None
    length: Callable[..., int] = _one
    factor: float = 2.0
    order: int = 2
    in_torch: bool = True
    fixed_order: bool = True


def leaves(value: Any) -> Iterator[Any]:
    """The items of nested lists, tuples and named tuples in order."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same nest of lists and tuples with every item changed."""
    if isinstance(value, list | tuple):
        return type(value)(each(item, change) for item in value)
    return change(value)


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def rounded(sample: Sample, dtype: Any) -> Sample:
    """The sample with its floating-point arrays in `dtype`."""

    def change(v: Any) -> Any:
        return v.astype(dtype) if is_float(v) else v

    return Sample(each(sample.args, change), {k: each(v, change) for k, v in sample.kwargs.items()}, sample.smooth)


def expected(case: Case, sample: Sample) -> list[Array]:
    """The reference's results, in extended precision."""
    exact = rounded(sample, np.longdouble)
    kwargs = {k: v for k, v in exact.kwargs.items() if not isinstance(v, type)}
    with np.errstate(all="ignore"):
        return [np.asarray(v) for v in leaves(case.reference(*exact.args, **kwargs))]


def bind(T: Any, name: str, case: Case) -> Callable[..., Any]:
    """The operation as a plain callable of pydl or torch."""
    if case.call is not None:
        return lambda *args, **kwargs: case.call(T, *args, **kwargs)
    if T.__name__ == "pydl":
        from pydl._core import dispatch

        return dispatch.registry[name]
    for place in (T.nn.functional, T, T.Tensor) if "cross_entropy" in name else (T, T.nn.functional, T.Tensor):
        if hasattr(place, name):
            return getattr(place, name)
    raise LookupError(f"torch has no {name}: give the case a `call`")


def tensors(T: Any, sample: Sample, grad: bool = False) -> tuple[Sample, list[Any]]:
    """The sample with tensors for arrays, and those that take part in differentiation."""
    inputs: list[Any] = []

    def tensor(v: Any, positional: bool) -> Any:
        if isinstance(v, type):
            return getattr(T, v.__name__)
        if not isinstance(v, np.ndarray):
            return v
        t = T.from_numpy(v)
        if positional and is_float(v):
            inputs.append(t.requires_grad_() if grad else t)
        return t

    args = each(sample.args, lambda v: tensor(v, True))
    kwargs = {k: each(v, lambda w: tensor(w, False)) for k, v in sample.kwargs.items()}
    return Sample(args, kwargs), inputs


@functools.lru_cache(maxsize=8)
def _drawn(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(99)
    return [np.asarray(rng.standard_normal(shape)) for shape in shapes]


def cotangents(outputs: list[Any], dtype: Any) -> list[Array]:
    """One fixed random array per output: drawing large ones takes longer than most operations."""
    return [a.astype(dtype) for a in _drawn(*(tuple(o.shape) for o in outputs))]


def differentiable(outputs: Iterable[Any]) -> list[Any]:
    return [o for o in outputs if getattr(o, "requires_grad", False)]


def run(T: Any, name: str, case: Case, sample: Sample, grad: bool = False) -> tuple[list[Array], list[Array]]:
    """The results of one call as arrays and, with `grad`, the gradients of Σ ⟨v, result⟩."""
    given, inputs = tensors(T, sample, grad)
    outputs = list(leaves(bind(T, name, case)(*given.args, **given.kwargs)))
    values = [np.array(o.detach().numpy()) if hasattr(o, "detach") else np.asarray(o) for o in outputs]
    roots = differentiable(outputs)
    if not grad or not roots:
        return values, []
    v = [T.from_numpy(c) for c in cotangents(roots, inputs[0].detach().numpy().dtype)]
    grads = T.autograd.grad(roots, inputs, v, allow_unused=True)
    arrays = [x.detach().numpy() for x in inputs]
    return values, [
        np.zeros(a.shape, a.dtype) if g is None else np.array(g.detach().numpy())
        for a, g in zip(arrays, grads, strict=True)
    ]


def identical(a: Array, b: Array) -> bool:
    """Equal bit for bit, signs of zeros and payloads of NaN included."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def tolerance(case: Case, sample: Sample, dtype: Any) -> float:
    length = case.length(*sample.args, **sample.kwargs)
    return float(np.finfo(dtype).eps) * math.sqrt(max(length, 1)) * case.factor


def check_close(result: Array, exact: Array, bound: float, reduction: bool, what: str) -> None:
    """|result − exact| ≤ bound · |exact| by elements; for reductions relative to the largest of 1 and |exact|."""
    assert result.shape == exact.shape, f"{what}: shape {result.shape}, not {exact.shape}"
    if exact.dtype.kind != "f" or exact.size == 0:
        np.testing.assert_array_equal(result, exact.astype(result.dtype), err_msg=what)
        return
    finite = np.isfinite(exact) & np.isfinite(exact.astype(result.dtype))
    np.testing.assert_array_equal(result[~finite], exact[~finite].astype(result.dtype), err_msg=what)
    size = np.abs(exact[finite])
    scale = np.maximum(size.max(initial=0), 1) if reduction else size
    error = np.abs(result[finite].astype(np.longdouble) - exact[finite])
    smallest = np.finfo(result.dtype).smallest_subnormal
    worst = np.max(error - bound * scale - smallest, initial=-1)
    assert worst <= 0, f"{what}: error {error.max():.3g} above {bound:.3g} · {np.max(scale):.3g}"


def check_values(name: str, case: Case, sample: Sample) -> None:
    """pydl's results against the reference, in float32 and float64."""
    import pydl

    for dtype in (np.float32, np.float64):
        given = rounded(sample, dtype)
        values, _ = run(pydl, name, case, given)
        exact = expected(case, given)
        assert len(values) == len(exact)
        reduction = case.length(*given.args, **given.kwargs) > 1
        for i, (value, wanted) in enumerate(zip(values, exact, strict=True)):
            if any(is_float(a) for a in leaves(given.args)) and wanted.dtype.kind == "f":
                assert name == "cast" or value.dtype == given.kwargs.get("dtype", dtype)
            bound = tolerance(case, given, value.dtype) if value.dtype.kind == "f" else 0.0
            check_close(value, wanted, bound, reduction, f"{name}({given})[{i}] in {value.dtype}")


def while_it_computes(work: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """The result of `work` in a thread; `other` begins in this one when that thread first lets go of the interpreter
    lock, which is where its kernel begins: nothing else makes it, however busy the machine is."""
    results: list[Any] = []
    begun = threading.Event()

    def body() -> None:
        begun.set()
        results.append(work())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e4)
    try:
        thread = threading.Thread(target=body)
        thread.start()
        begun.wait()
        kept = other()
    finally:
        sys.setswitchinterval(interval)
    thread.join()
    del kept
    return results[0]
