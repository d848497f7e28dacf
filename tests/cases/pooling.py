# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the poolings: one set of geometries for one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tests import reference_pooling as reference
from tests.harness import Array, Case, Draw, Error, S, Sample

SPATIAL = {1: (11,), 2: (7, 6), 3: (4, 5, 6)}
ODD = {1: (5,), 2: (5, 3), 3: (3, 5, 4)}
Make = Callable[..., Array]


def functional(name: str) -> Callable[..., Any]:
    """The function of nn.functional: torch's main namespace has others under the same names."""
    return lambda T, *args, **kwargs: getattr(T.nn.functional, name)(*args, **kwargs)


def mixed(n: int, *sizes: int) -> tuple[int, ...]:
    return sizes[:n]


def windows(g: Draw, n: int, make: Make, dilation: bool) -> Iterator[tuple[Array, dict[str, Any]]]:
    """Images with arguments that all three dimensions have."""
    x, odd = SPATIAL[n], ODD[n]
    yield make(2, 3, *x), {"kernel_size": 2}
    yield make(1, 1, *(1,) * n), {"kernel_size": 1}
    yield make(0, 2, *x), {"kernel_size": 3, "padding": 1}
    yield make(3, *x), {"kernel_size": 3, "stride": 2, "padding": 1}
    yield make(2, 5, *odd), {"kernel_size": 2, "stride": 2, "ceil_mode": True}
    yield make(1, 9, *odd), {"kernel_size": mixed(n, 3, 2, 3), "stride": 1, "padding": mixed(n, 1, 0, 1)}
    yield make(1, 2, *x), {"kernel_size": 3, "stride": mixed(n, 3, 2, 1), "padding": 1, "ceil_mode": True}
    # The last window goes beyond the padding.
    yield make(1, 2, *mixed(n, 4, 6, 4)), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}
    yield make(2, 2, *odd), {"kernel_size": odd}
    yield make(1, 2, *odd), {"kernel_size": 1, "stride": 2}
    if n == 1:
        yield make(1, 3, 70), {"kernel_size": 3, "stride": 2}
        yield make(1, 1, 50), {"kernel_size": 2, "stride": 1}
    if dilation:
        yield (
            make(2, 2, *(s + 2 for s in x)),
            {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": mixed(n, 3, 2, 2)},
        )


def max_samples(n: int) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for i, (x, kwargs) in enumerate(windows(g, n, g.distinct, True)):
            yield S(x, **kwargs, return_indices=i % 2 == 1)
        yield S(g.integers(-3, 3, 2, 3, *SPATIAL[n]), 2, return_indices=True)
        if n > 1:
            yield S(g.integers(0, 3, 2, *SPATIAL[n]), 3, 2, 1, ceil_mode=True)

    return samples


def avg_samples(n: int) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for i, (x, kwargs) in enumerate(windows(g, n, g.normal, False)):
            yield S(x, **kwargs, count_include_pad=i % 2 == 1)
        if n > 1:
            yield S(g.normal(2, 3, *SPATIAL[n]), 3, 2, 1, divisor_override=-5)

    return samples


def adaptive_samples(n: int, make: str) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        x = getattr(g, make)
        for size in (1, 2, 3):
            yield S(x(2, 3, *SPATIAL[n]), size)
        yield S(x(1, 1, *(1,) * n), 1)
        yield S(x(0, 2, *SPATIAL[n]), 2)
        yield S(x(5, *ODD[n]), tuple(s + 2 for s in ODD[n]))
        if n > 1:
            yield S(x(1, 9, *SPATIAL[n]), (None, *(2,) * (n - 1)))

    return samples


def lp_samples(n: int) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for p in (2, 1.5, 3, 1):
            yield S(g.positive(2, 3, *SPATIAL[n]), p, 2)
        yield S(g.positive(2, *ODD[n]), 2.0, 2, 1, True)
        yield S(g.positive(1, 1, *(1,) * n), 2, 1)
        yield S(g.positive(0, 1, *ODD[n]), 2, 1)
        for p in (math.inf, -math.inf):
            yield S(g.distinct(1, 2, *SPATIAL[n]) + 2.5, p, 3, 2)

    return samples


def unpool_samples(n: int) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for lead, kernel, kwargs in (
            ((2, 3), 2, {}),
            ((4,), 3, {"stride": 2, "padding": 1}),
            ((1, 1), 1, {}),
            ((0, 2), 2, {}),
        ):
            sizes = (1,) * n if kernel == 1 else mixed(n, 3, 2, 2)
            step, pad = kwargs.get("stride", kernel), kwargs.get("padding", 0)
            room = math.prod((s - 1) * step + kernel - 2 * pad for s in sizes)
            yield S(g.normal(*lead, *sizes), distinct_places(g, lead, sizes, room), kernel, **kwargs)
        x, room = g.normal(1, 2, *(2,) * n), math.prod((5,) * n)
        yield S(x, distinct_places(g, (1, 2), (2,) * n, room), 2, output_size=[5] * n)

    return samples


def distinct_places(g: Draw, lead: tuple[int, ...], sizes: tuple[int, ...], room: int) -> Array:
    """Places that do not repeat within a plane."""
    m = math.prod(sizes)
    planes = [g.rng.permutation(room)[:m] for _ in range(math.prod(lead))]
    return np.array(planes, np.int64).reshape(*lead, *sizes)


def window_errors(n: int, adaptive: bool = False) -> Callable[[Draw], Iterator[Error]]:
    def errors(g: Draw) -> Iterator[Error]:
        x = g.normal(2, 3, *SPATIAL[n])
        yield Error(S(g.normal(2, *(0,) * (n + 1)), 2), RuntimeError, "empty")
        if n != 2 or not adaptive:
            yield Error(S(g.normal(2, 3, *SPATIAL[n], 3), 2), RuntimeError, "dimensions")
        yield Error(S(x, 2.5), TypeError, "2.5")
        yield Error(S(x, (2,) * (n + 1)), RuntimeError, "one number or")
        if adaptive:
            yield Error(S(x, -1), RuntimeError, "negative")
            return
        for bad in ({"stride": 0}, {"padding": -1}, {"padding": 2}):
            yield Error(S(x, 2, **bad), RuntimeError, next(iter(bad)))
        yield Error(S(x, 0), RuntimeError, "kernel_size")
        yield Error(S(x, 99), RuntimeError, "small")

    return errors


def unpool_errors(n: int) -> Callable[[Draw], Iterator[Error]]:
    def errors(g: Draw) -> Iterator[Error]:
        x, at = g.normal(1, 1, *(2,) * n), np.arange(2**n).reshape(1, 1, *(2,) * n)
        yield Error(S(x, at[..., :1], 2), RuntimeError, "shape")
        yield Error(S(x, at.astype(np.int32), 2), RuntimeError, "int64")
        yield Error(S(x, at + 4**n, 2), RuntimeError, str(4**n))
        yield Error(S(x, at - 1, 2), RuntimeError, "-1")
        yield Error(S(x, at, 2, output_size=[9] * n), ValueError, "between")
        yield Error(S(x, at, 2, output_size=[4] * (n + 1)), ValueError, "output_size")

    return errors


def elements(n: int) -> Callable[..., int]:
    return lambda x, *args, **kwargs: math.prod(x.shape[-n:])


LARGE = {1: (8, 64, 2000), 2: (4, 33, 60, 62), 3: (2, 17, 20, 21, 22)}


def large(n: int, make: str, *args: Any) -> Callable[[Draw], Sample]:
    """Windows that overlap, so that threads share input elements."""
    return lambda g: S(getattr(g, make)(*LARGE[n]), *args)


# --- the operations behind them, which take a Geometry in pydl -----------------------------------------------------


def _geometry(x: Any, kernel: int, stride: int, padding: int, n: int) -> Any:
    from pydl.ops import _pool_geometry as geometries

    return geometries.regular(
        "test", tuple(x.shape[-n:]), ((kernel,) * n, (stride,) * n, (padding,) * n, (1,) * n), False
    )


def _step_samples(make: str, back: bool) -> Callable[[Draw], Iterator[Sample]]:
    """x (for backward: and dy), kernel, stride, padding, dimensions."""

    def samples(g: Draw) -> Iterator[Sample]:
        for lead, n, how in (
            ((2, 3), 2, (3, 2, 1)),
            ((1, 9), 2, (2, 2, 0)),
            ((2, 2), 1, (3, 1, 1)),
            ((1, 2), 3, (2, 2, 1)),
            ((0, 1), 2, (2, 1, 0)),
        ):
            x = getattr(g, make)(*lead, *SPATIAL[n])
            out = tuple((s + 2 * how[2] - how[0]) // how[1] + 1 for s in SPATIAL[n])
            yield S(g.normal(*lead, *out), *how, n, x=x) if back else S(x, *how, n)
        yield S(g.normal(1, 1, 1), 1, 1, 0, 1, x=g.normal(1, 1, 1)) if back else S(g.normal(1, 1, 1), 1, 1, 0, 1)

    return samples


def _forward(kind: str) -> Callable[..., Any]:
    def call(T: Any, x: Any, kernel: int, stride: int, padding: int, n: int) -> Any:
        if T.__name__ == "pydl":
            return getattr(T.ops, f"{kind}_pool")(x, _geometry(x, kernel, stride, padding, n))
        return getattr(T.nn.functional, f"{kind}_pool{n}d")(x, kernel, stride, padding)

    return call


def _max_backward(T: Any, dy: Any, kernel: int, stride: int, padding: int, n: int, *, x: Any) -> Any:
    if T.__name__ == "pydl":
        from pydl._core import pool

        _, winners = pool.max_fwd(x.to(dy.dtype), _geometry(x, kernel, stride, padding, n), True)
        return T.ops.max_pool_backward(dy, winners)
    x = x.to(dy.dtype).requires_grad_()
    y = getattr(T.nn.functional, f"max_pool{n}d")(x, kernel, stride, padding)
    return T.autograd.grad(y, x, dy, create_graph=True)[0]


def _max_back(dy: Array, kernel: int, stride: int, padding: int, n: int, *, x: Array) -> Array:
    _, at = reference.max_pool(n, x, kernel, stride, padding, return_indices=True)
    return reference.put(dy, at, x.shape[-n:], True)


def _max_take(T: Any, g: Any, kernel: int, stride: int, padding: int, n: int, *, x: Any) -> Any:
    if T.__name__ == "pydl":
        from pydl._core import pool

        _, winners = pool.max_fwd(x.to(g.dtype), _geometry(x, kernel, stride, padding, n), True)
        return T.ops.max_pool_take(g, winners)
    _, at = getattr(T.nn.functional, f"max_pool{n}d")(x.to(g.dtype), kernel, stride, padding, return_indices=True)
    return g.flatten(2).gather(2, at.flatten(2)).view(at.shape)


def _taken(g: Array, kernel: int, stride: int, padding: int, n: int, *, x: Array) -> Array:
    return reference.take(g, reference.max_pool(n, x, kernel, stride, padding, return_indices=True)[1])


def _take_samples(g: Draw) -> Iterator[Sample]:
    for sample in _step_samples("distinct", True)(g):
        x = sample.kwargs["x"]
        yield S(g.normal(*x.shape), *sample.args[1:], x=x)


def _avg_backward(T: Any, dy: Any, kernel: int, stride: int, padding: int, n: int, *, x: Any) -> Any:
    if T.__name__ == "pydl":
        return T.ops.avg_pool_backward(dy, _geometry(x, kernel, stride, padding, n), False)
    x = x.to(dy.dtype).requires_grad_()
    y = getattr(T.nn.functional, f"avg_pool{n}d")(x, kernel, stride, padding)
    return T.autograd.grad(y, x, dy, create_graph=True)[0]


def _avg_back(dy: Array, kernel: int, stride: int, padding: int, n: int, *, x: Array) -> Array:
    windows = [reference.regular(s, kernel, stride, padding, 1, False, True) for s in x.shape[-n:]]
    return reference.average_back(x, dy, windows)


def _put_samples(g: Draw) -> Iterator[Sample]:
    for shape, sizes in (((2, 3, 2, 2), (3, 4)), ((1, 1, 1), (1,)), ((0, 2, 3), (3,)), ((1, 2, 2, 2, 2), (2, 3, 3))):
        yield S(g.normal(*shape), distinct_places(g, shape[:2], shape[2:], math.prod(sizes)), sizes)


def _put_add_samples(g: Draw) -> Iterator[Sample]:
    yield from _put_samples(g)
    yield S(g.normal(2, 2, 9), g.integers(0, 4, 2, 2, 9), (4,))


def _back_samples(g: Draw) -> Iterator[Sample]:
    for sample in _put_add_samples(g):
        x, at, sizes = sample.args
        yield S(g.normal(*x.shape[:2], *sizes), at)


def _torch_put(T: Any, x: Any, at: Any, sizes: Any) -> Any:
    if T.__name__ == "pydl":
        return T.ops.max_unpool(x, at, sizes)
    return (
        T.zeros(*x.shape[:2], math.prod(sizes), dtype=x.dtype)
        .scatter(2, at.flatten(2), x.flatten(2))
        .view(*x.shape[:2], *sizes)
    )


def _torch_add(T: Any, x: Any, at: Any, sizes: Any) -> Any:
    if T.__name__ == "pydl":
        return T.ops.max_unpool_add(x, at, sizes)
    zeros = T.zeros(*x.shape[:2], math.prod(sizes), dtype=x.dtype)
    return zeros.scatter_add(2, at.flatten(2), x.flatten(2)).view(*x.shape[:2], *sizes)


def _torch_take(T: Any, dy: Any, at: Any) -> Any:
    if T.__name__ == "pydl":
        return T.ops.max_unpool_backward(dy, at)
    return dy.flatten(2).gather(2, at.flatten(2)).view(at.shape)


def _bad_place(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(1, 1, 2), np.array([[[0, 4]]]), (4,)), RuntimeError, "4|index")
    yield Error(S(g.normal(1, 1, 2), np.array([[[-1, 3]]]), (4,)), RuntimeError, "-1|index")


CASES: dict[str, Case] = {
    "max_pool": Case(
        lambda x, k, s, p, n: reference.max_pool(n, x, k, s, p),
        _step_samples("distinct", False),
        call=_forward("max"),
        factor=0,
    ),
    "max_pool_backward": Case(
        _max_back, _step_samples("distinct", True), call=_max_backward, length=lambda *a, **k: 27
    ),
    "max_pool_take": Case(_taken, _take_samples, call=_max_take, factor=0),
    "avg_pool": Case(
        lambda x, k, s, p, n: reference.avg_pool(n, x, k, s, p),
        _step_samples("normal", False),
        call=_forward("avg"),
        length=lambda *a: 27,
    ),
    "avg_pool_backward": Case(_avg_back, _step_samples("normal", True), call=_avg_backward, length=lambda *a, **k: 27),
    "max_unpool": Case(
        lambda x, at, sizes: reference.put(x, at, sizes, False), _put_samples, _bad_place, call=_torch_put, factor=0
    ),
    "max_unpool_add": Case(
        lambda x, at, sizes: reference.put(x, at, sizes, True),
        _put_add_samples,
        _bad_place,
        call=_torch_add,
        length=lambda *a: 9,
    ),
    "max_unpool_backward": Case(reference.take, _back_samples, call=_torch_take, length=lambda *a: 9),
}
for n in (1, 2, 3):
    for name in (f"max_pool{n}d", f"max_pool{n}d_with_indices"):
        refer = partial(reference.max_pool, n)
        both = name.endswith("indices")
        CASES[name] = Case(
            (lambda *a, f=refer, **k: f(*a, **k | {"return_indices": True})) if both else refer,
            max_samples(n), window_errors(n), large(n, "distinct", 3, 2, 1), call=functional(name), factor=0,
        )  # fmt: skip
        refer = partial(reference.adaptive_max_pool, n)
        CASES["adaptive_" + name] = Case(
            (lambda x, size, f=refer: f(x, size, True)) if both else refer,
            adaptive_samples(n, "distinct"), window_errors(n, True), large(n, "distinct", 7),
            call=functional("adaptive_" + name), factor=0,
        )  # fmt: skip
    CASES[f"avg_pool{n}d"] = Case(
        partial(reference.avg_pool, n), avg_samples(n), window_errors(n), large(n, "normal", 3, 2, 1),
        call=functional(f"avg_pool{n}d"), length=elements(n),
    )  # fmt: skip
    CASES[f"adaptive_avg_pool{n}d"] = Case(
        partial(reference.adaptive_avg_pool, n), adaptive_samples(n, "normal"), window_errors(n, True),
        large(n, "normal", 7), call=functional(f"adaptive_avg_pool{n}d"), length=elements(n),
    )  # fmt: skip
    CASES[f"lp_pool{n}d"] = Case(
        partial(reference.lp_pool, n), lp_samples(n), call=functional(f"lp_pool{n}d"), length=elements(n), factor=16
    )
    CASES[f"max_unpool{n}d"] = Case(
        partial(reference.max_unpool, n),
        unpool_samples(n),
        unpool_errors(n),
        call=functional(f"max_unpool{n}d"),
        factor=0,
    )
