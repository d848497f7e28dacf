# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the normalisations. Running statistics are keyword arguments here: nothing is differentiated in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference_norms as reference
from tests.harness import Array, Case, Draw, Error, S, Sample, rough

# Every channel has several values, so that the variance is not 0. What PyTorch itself cannot do (a gradient without
# channels, or of a bias without weight in group norm) or rounds badly (two values far from 0) is in test_norms.py.
IMAGES = (
    (3, 2), (2, 1, 4), (4, 3, 5), (2, 5, 3, 3), (2, 33, 2, 2), (1, 17, 7, 3), (2, 3, 2, 3, 2), (70, 5), (2, 1, 40, 40),
)  # fmt: skip
GROUPED = (((3, 8), 2), ((2, 6, 5), 3), ((2, 6, 3, 3), 1), ((2, 6, 3, 3), 6), ((1, 34, 7, 5), 2), ((2, 4, 2, 3, 2), 2))


def affine(g: Draw, channels: int) -> tuple[Array, Array]:
    return g.away(channels), g.normal(channels)


def running(g: Draw, channels: int) -> dict[str, Array]:
    return {"running_mean": g.normal(channels), "running_var": g.positive(channels)}


def per_channel(x: Array, *args: Any, **kwargs: Any) -> int:
    return x.size // max(x.shape[1], 1)


def per_sample(x: Array, *args: Any, **kwargs: Any) -> int:
    return x.size // max(x.shape[0], 1)


def call_batch_norm(T: Any, x: Any, w: Any = None, b: Any = None, **k: Any) -> Any:
    k = {"running_mean": None, "running_var": None, **k}
    return T.nn.functional.batch_norm(x, weight=w, bias=b, **k)


def call_instance_norm(T: Any, x: Any, w: Any = None, b: Any = None, **k: Any) -> Any:
    return T.nn.functional.instance_norm(x, weight=w, bias=b, **k)


def functional(name: str) -> Callable[..., Any]:
    return lambda T, *args, **kwargs: getattr(T.nn.functional, name)(*args, **kwargs)


def _batch(g: Draw) -> Iterator[Sample]:
    for shape in IMAGES:
        w, b = affine(g, shape[1])
        yield S(g.normal(*shape) * 2 + 3, w, b, training=True)
        yield S(g.normal(*shape), w, b, **running(g, shape[1]))
    w, b = affine(g, 3)
    yield S(g.normal(4, 3, 5), training=True, **running(g, 3), momentum=0.3)
    yield S(g.normal(4, 3, 5), w, None, training=True, eps=0.1)
    yield S(g.normal(4, 3, 5), None, b, training=True, eps=1e-12)
    yield S(g.normal(4, 3, 5), None, b, **running(g, 3))
    yield S(g.normal(4, 3, 5), w, **running(g, 3), eps=0.5)
    yield S(g.normal(1, 3), w, b, **running(g, 3))
    yield S(g.normal(1, 1), **running(g, 1))
    yield S(np.array([[-1.0], [1.5]]), g.away(1), g.normal(1), training=True)
    for shape in ((0, 3, 5), (2, 3, 0)):
        yield rough(g.normal(*shape), w, b, training=True)
        yield rough(g.normal(*shape), w, b, **running(g, 3))
    yield rough(g.normal(2, 0, 4), training=True)


def _batch_errors(g: Draw) -> Iterator[Error]:
    x = g.normal(4, 3, 5)
    stats, wrong = running(g, 3), running(g, 4)
    yield Error(S(g.normal(1, 3, 1), training=True), ValueError, r"Expected more than 1 value per channel.*\[1, 3, 1\]")
    yield Error(S(g.normal(1), training=True), ValueError, "Expected more than 1 value per channel")
    yield Error(S(x), RuntimeError, "must be defined in evaluation mode")
    yield Error(S(x, training=True, running_mean=g.normal(3)), ValueError, "both be None or neither")
    yield Error(S(x, **{**stats, "running_mean": wrong["running_mean"]}), RuntimeError, r"running_mean.*\(4,\).*\(3,\)")
    yield Error(S(x, **{**stats, "running_var": wrong["running_var"]}), RuntimeError, r"running_var.*\(4,\)")
    yield Error(S(x, g.normal(4), training=True), RuntimeError, r"weight.*\(4,\).*\(4, 3, 5\)")
    yield Error(S(x, None, g.normal(4), training=True), RuntimeError, r"bias.*\(4,\)")
    yield Error(S(x, g.normal(3).astype(np.float32), training=True), RuntimeError, "float32.*float64")
    yield Error(S(x, training=True, eps=0.0), ValueError, "eps must be positive during training")
    yield Error(S(x, **stats, eps=-1.0), ValueError, "eps must be non-negative")
    yield Error(S(g.integers(0, 9, 4, 3), training=True), NotImplementedError, "int64|Long")


def _instance(g: Draw) -> Iterator[Sample]:
    for shape in IMAGES:
        if len(shape) > 2:
            yield S(g.normal(*shape) + 2, *affine(g, shape[1]))
    w, b = affine(g, 3)
    yield S(g.normal(4, 3, 5))
    yield S(g.normal(4, 3, 5), w, None, eps=0.1, **running(g, 3), momentum=0.3)
    yield S(g.normal(4, 3, 5), w, b, **running(g, 3), use_input_stats=False)
    yield S(g.normal(1, 1, 2), g.away(1), g.normal(1))
    yield rough(g.normal(1, 1, 1), **running(g, 1), use_input_stats=False)
    yield rough(g.normal(0, 3, 5))
    yield rough(g.normal(2, 3, 0))


def _instance_errors(g: Draw) -> Iterator[Error]:
    x = g.normal(4, 3, 5)
    yield Error(S(g.normal(4, 3, 1)), ValueError, "Expected more than 1 spatial element")
    yield Error(S(g.normal(4, 3)), ValueError, "Expected more than 1 spatial element")
    yield Error(S(x, use_input_stats=False), RuntimeError, "to be defined when use_input_stats is false")
    yield Error(S(x, running_mean=g.normal(3)), ValueError, "both be None or neither")
    yield Error(S(x, g.normal(4)), RuntimeError, r"weight.*\(4,\)|weight should contain")
    yield Error(S(x, **running(g, 4)), RuntimeError, r"running_mean.*\(4,\)|running_mean should contain")
    yield Error(S(x, g.normal(3).astype(np.float32)), RuntimeError, "float32.*float64|dtype")
    yield Error(S(g.integers(0, 9, 4, 3, 5)), NotImplementedError, "int64|Long")


def _group(g: Draw) -> Iterator[Sample]:
    for shape, groups in GROUPED:
        yield S(g.normal(*shape) + 2, groups, *affine(g, shape[1]))
    yield S(g.normal(2, 6, 5), 3)
    yield S(g.normal(2, 6, 5), 3, g.away(6), None, 0.1)
    yield S(g.normal(2, 1), 1, g.away(1), g.normal(1), 0.5)
    yield rough(g.normal(0, 6, 5), 3, *affine(g, 6))
    yield rough(g.normal(2, 6, 0), 3)


def _group_errors(g: Draw) -> Iterator[Error]:
    x = g.normal(4, 6, 5)
    yield Error(S(x, 4), RuntimeError, r"divisible by num_groups.*\[4, 6, 5\].*num_groups=4")
    yield Error(S(x, -1), RuntimeError, "greater than 0, got -1")
    yield Error(S(g.normal(4), 1), RuntimeError, "at least 2 dimensions")
    yield Error(S(x, 3, g.normal(3)), RuntimeError, r"weight.*\(3,\)|weight")
    yield Error(S(x, 3, None, g.normal(3)), RuntimeError, r"bias.*\(3,\)|bias")
    yield Error(S(g.normal(1, 3), 3), ValueError, "Expected more than 1 value per channel")
    yield Error(S(g.integers(0, 9, 4, 6, 5), 3), NotImplementedError, "int64|Long")


def _layer(g: Draw) -> Iterator[Sample]:
    for shape, last in (((3, 4), 1), ((2, 3, 5), 2), ((2, 3, 5), 3), ((5, 33), 1), ((2, 2, 130), 1), ((3, 1, 7), 2)):
        tail = shape[-last:]
        yield S(g.normal(*shape) + 2, tail, g.away(*tail), g.normal(*tail))
    yield S(g.normal(3, 5), (5,))
    yield S(g.normal(3, 5), [5], g.away(5), None, 0.1)
    yield S(g.normal(3, 5), (5,), None, g.normal(5))
    yield S(g.normal(70, 3), (3,), g.away(3), g.normal(3))
    yield S(g.normal(1), (1,), g.away(1), g.normal(1))
    yield rough(g.normal(0, 5), (5,), g.away(5), g.normal(5))
    yield rough(g.normal(3, 0), (0,), g.away(0), g.normal(0))


def _shape_errors(g: Draw) -> Iterator[Error]:
    x = g.normal(4, 3, 5)
    yield Error(S(x, (4,)), RuntimeError, r"normalized_shape=\[4\].*\[4, 3, 5\]")
    yield Error(S(x, (2, 4, 3, 5)), RuntimeError, r"normalized_shape=\[2, 4, 3, 5\]")
    yield Error(S(x, ()), RuntimeError, "at least one dimension")
    yield Error(S(x, 5), TypeError, "normalized_shape")
    yield Error(S(x, (5,), g.normal(4)), RuntimeError, r"weight.*\(4,\).*\(5,\)")
    yield Error(S(g.integers(0, 9, 4, 5), (5,)), NotImplementedError, "int64")


def _layer_errors(g: Draw) -> Iterator[Error]:
    yield from _shape_errors(g)
    yield Error(S(g.normal(4, 5), (5,), None, g.normal(4)), RuntimeError, r"bias.*\(4,\).*\(5,\)")
    yield Error(S(g.normal(4, 5), (5,), g.normal(5).astype(np.float32)), RuntimeError, "float32.*float64")


def _rms(g: Draw) -> Iterator[Sample]:
    for shape, last in (((3, 4), 1), ((2, 3, 5), 2), ((5, 33), 1), ((2, 2, 130), 1), ((70, 3), 1)):
        tail = shape[-last:]
        yield S(g.normal(*shape) + 2, tail, g.away(*tail), 1e-3)
    yield S(g.normal(3, 5), (5,), None, 1e-3)
    yield S(g.normal(1), (1,), g.away(1), 0.1)
    yield rough(g.normal(0, 5), (5,), g.away(5), 1e-3)
    yield rough(g.normal(3, 0), (0,), g.away(0), 1e-3)


def _window(g: Draw) -> Iterator[Sample]:
    for below, above in ((0, 0), (1, 1), (2, 1), (0, 3), (9, 9)):
        yield S(g.normal(2, 5, 3), below, above)
    yield S(g.normal(2, 3), 1, 0)
    yield S(g.normal(1, 1, 1), 1, 1)
    yield S(g.normal(2, 4, 5, 7), 1, 2)
    yield S(g.normal(0, 4, 5), 1, 2)


def _window_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3), 1, 1), ValueError, "at least 2 dimensions")
    yield Error(S(g.normal(3, 2), -1, 1), ValueError, "not be negative")
    yield Error(S(g.normal(3, 2), 1, -1), ValueError, "not be negative")


def _torchs_window(T: Any, x: Any, below: int, above: int) -> Any:
    """PyTorch has no such function: sums of slices."""
    if T.__name__ == "pydl":
        from pydl._core import dispatch

        return dispatch.registry["window_sum"](x, below, above)
    if x.ndim < 2 or below < 0 or above < 0:
        raise ValueError
    return T.stack([x[:, max(0, c - below) : c + above + 1].sum(1) for c in range(x.shape[1])], 1)


def _response(g: Draw) -> Iterator[Sample]:
    for size in (1, 2, 3, 5, 20):
        yield S(g.away(2, 6, 4), size, 0.5)
    yield S(g.away(2, 5, 3, 3), 3, alpha=2.0, beta=1.5, k=0.5)
    yield S(g.away(1, 1, 1), 1)
    yield S(g.normal(0, 3, 4), 2)


def _response_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3, 4), 2), ValueError, "3D or higher")
    yield Error(S(g.normal(3, 4, 2), 0), RuntimeError, "greater than zero")


def _unit(g: Draw) -> Iterator[Sample]:
    x = g.away(3, 4, 5)
    yield S(x)
    yield S(x, dim=-1)
    yield S(x, 1.0)
    yield S(x, 3.0, (1, 2))
    yield S(g.distinct(3, 5) + 0.007, float("inf"))
    yield S(x, eps=10.0)
    yield S(g.away(1, 1))
    yield S(g.normal(0, 3))


def _unit_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3, 4), dim=5), IndexError, "-2, 1")
    yield Error(S(g.integers(0, 9, 3, 4)), RuntimeError, "floating-point")


def _large(g: Draw) -> Array:
    return g.normal(6, 20, 37, 41)


CASES = {
    "batch_norm": Case(
        reference.batch_norm,
        _batch,
        _batch_errors,
        lambda g: S(_large(g), *affine(g, 20), training=True),
        call=call_batch_norm,
        length=per_channel,
        factor=6,
    ),
    "instance_norm": Case(
        reference.instance_norm,
        _instance,
        _instance_errors,
        lambda g: S(_large(g), *affine(g, 20)),
        call=call_instance_norm,
        length=per_sample,
        factor=6,
    ),
    "group_norm": Case(
        reference.group_norm,
        _group,
        _group_errors,
        lambda g: S(_large(g), 4, *affine(g, 20)),
        call=functional("group_norm"),
        length=per_sample,
        factor=6,
    ),
    "layer_norm": Case(
        reference.layer_norm,
        _layer,
        _layer_errors,
        lambda g: S(g.normal(1030, 130), (130,), g.away(130), g.normal(130)),
        call=functional("layer_norm"),
        length=lambda x, shape, *a, **k: math.prod(shape),
        factor=8,
    ),
    "rms_norm": Case(
        reference.rms_norm,
        _rms,
        _shape_errors,
        lambda g: S(g.normal(1030, 130), (130,), g.away(130), 1e-6),
        length=lambda x, shape, *a, **k: math.prod(shape),
        factor=8,
    ),
    "window_sum": Case(
        reference.window_sum,
        _window,
        _window_errors,
        lambda g: S(_large(g), 2, 2),
        call=_torchs_window,
        length=lambda x, below, above: below + above + 1,
    ),
    "local_response_norm": Case(
        reference.local_response_norm,
        _response,
        _response_errors,
        lambda g: S(_large(g), 5),
        call=functional("local_response_norm"),
        length=lambda x, size, *a, **k: size,
        factor=8,
    ),
    "normalize": Case(
        reference.normalize,
        _unit,
        _unit_errors,
        lambda g: S(g.normal(12, 20, 67, 41)),  # several steps, each of which must pay for a second thread
        call=functional("normalize"),
        length=per_sample,
        factor=4,
    ),
}
