# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the convolutions, transposed ones, and their gradients as operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference_convolution as reference
from tests.harness import Case, Draw, Error, S, Sample

# x, w, with a bias or not, the rest of the arguments; by spatial dimensions
CONV: dict[int, list[tuple[tuple[int, ...], tuple[int, ...], bool, dict[str, Any]]]] = {
    1: [
        ((1, 1, 1), (1, 1, 1), True, {}),
        ((0, 2, 5), (3, 2, 3), True, {"padding": 1}),
        ((2, 3, 9), (4, 3, 3), True, {}),
        ((3, 9), (4, 3, 3), False, {"stride": 2}),
        ((1, 4, 13), (6, 2, 5), True, {"stride": 3, "padding": 4, "dilation": 2, "groups": 2}),
        ((2, 17, 31), (33, 17, 1), True, {}),
        ((2, 5, 7), (5, 1, 3), False, {"groups": 5, "padding": "same"}),
        ((3, 8), (2, 3, 4), True, {"padding": "same", "dilation": 3}),
        ((2, 3, 8), (2, 3, 4), False, {"padding": "valid", "stride": (2,)}),
    ],
    2: [
        ((1, 1, 1, 1), (1, 1, 1, 1), True, {}),
        ((1, 3, 1, 1), (5, 3, 3, 3), True, {"padding": 1}),
        ((0, 3, 5, 4), (2, 3, 3, 3), True, {"padding": 1}),
        ((2, 3, 7, 6), (4, 3, 3, 2), True, {}),
        ((3, 7, 6), (4, 3, 3, 3), False, {"padding": 1}),
        ((2, 4, 9, 8), (6, 4, 3, 3), True, {"stride": 2, "padding": 1}),
        ((2, 4, 9, 8), (6, 2, 3, 3), True, {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2), "groups": 2}),
        ((1, 5, 13, 13), (5, 1, 3, 3), False, {"groups": 5, "padding": 1}),
        ((1, 5, 7, 7), (10, 1, 5, 3), True, {"groups": 5, "stride": 2, "padding": (2, 1)}),
        ((2, 17, 7, 7), (33, 17, 1, 1), True, {}),
        ((2, 6, 9, 7), (4, 6, 1, 1), False, {"stride": 2}),
        ((1, 6, 5, 5), (8, 6, 5, 5), True, {}),
        ((1, 2, 31, 13), (3, 2, 7, 7), True, {"stride": 2, "padding": 3}),
        ((2, 3, 6, 5), (4, 3, 2, 4), True, {"padding": "same"}),
        ((3, 6, 5), (4, 3, 3, 2), False, {"padding": "same", "dilation": (2, 3)}),
        ((2, 3, 6, 5), (4, 3, 2, 4), False, {"padding": "valid", "stride": 2}),
        ((1, 3, 2, 2), (2, 3, 4, 5), True, {"padding": 3, "stride": 3}),
        ((1, 33, 13, 7), (17, 33, 3, 3), True, {"padding": 1}),
    ],
    3: [
        ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1), True, {}),
        ((0, 2, 3, 4, 3), (3, 2, 2, 2, 2), True, {}),
        ((2, 3, 4, 5, 3), (4, 3, 2, 3, 3), True, {"padding": (0, 1, 1)}),
        ((4, 4, 5, 6), (2, 2, 3, 1, 2), True, {"stride": (2, 1, 2), "dilation": (1, 1, 2), "groups": 2, "padding": 1}),
        ((1, 3, 4, 4, 4), (3, 1, 3, 3, 3), False, {"groups": 3, "padding": "same"}),
        ((1, 2, 3, 4, 2), (3, 2, 2, 1, 2), False, {"padding": "same"}),
        ((1, 5, 3, 3, 3), (7, 5, 1, 1, 1), True, {}),
    ],
}
TRANSPOSED: dict[int, list[tuple[tuple[int, ...], tuple[int, ...], bool, dict[str, Any]]]] = {
    1: [
        ((1, 1, 1), (1, 1, 1), True, {}),
        ((0, 2, 5), (2, 3, 3), True, {}),
        ((2, 3, 5), (3, 4, 3), True, {"stride": 2, "padding": 1, "output_padding": 1}),
        ((4, 6), (4, 1, 4), False, {"stride": 3, "groups": 2, "dilation": 2}),
        ((1, 3, 4), (3, 2, 3), True, {"dilation": 3, "output_padding": 2, "padding": 1, "stride": 2}),
        ((1, 17, 7), (17, 33, 1), True, {}),
    ],
    2: [
        ((1, 1, 1, 1), (1, 1, 1, 1), True, {}),
        ((0, 2, 3, 4), (2, 3, 2, 2), True, {"stride": 2}),
        ((2, 3, 4, 5), (3, 4, 3, 3), True, {}),
        ((3, 4, 5), (3, 4, 2, 3), False, {"stride": 2}),
        ((2, 4, 4, 3), (4, 3, 3, 3), True, {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
        ((1, 4, 5, 4), (4, 1, 4, 4), False, {"stride": (2, 3), "padding": (1, 0), "groups": 4}),
        ((1, 2, 3, 4), (2, 3, 2, 3), True, {"dilation": (3, 2), "output_padding": (2, 1), "padding": 1}),
        ((2, 17, 7, 7), (17, 5, 1, 1), True, {}),
        ((1, 3, 1, 1), (3, 2, 5, 5), True, {"padding": 1}),
        ((1, 5, 6, 6), (5, 33, 2, 2), True, {"stride": 2}),
    ],
    3: [
        ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1), True, {}),
        ((0, 2, 2, 2, 2), (2, 3, 2, 2, 2), False, {}),
        ((1, 2, 2, 3, 2), (2, 3, 2, 3, 2), True, {"stride": (2, 1, 3), "padding": (0, 1, 0)}),
        ((4, 2, 3, 2), (4, 1, 2, 2, 3), True, {"stride": 2, "output_padding": (1, 0, 1), "groups": 2, "padding": 1}),
        ((1, 2, 2, 2, 3), (2, 2, 2, 2, 1), False, {"dilation": (2, 1, 1), "output_padding": (1, 0, 0)}),
    ],
}


def _samples(table: Any, transposed: bool) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for x, w, with_bias, options in table:
            n_out = w[1] * options.get("groups", 1) if transposed else w[0]
            yield S(g.normal(*x), g.normal(*w), g.normal(n_out) if with_bias else None, **options)

    return samples


def _geometry(w: tuple[int, ...], options: dict[str, Any]) -> tuple[tuple[int, ...], ...]:
    n = len(w) - 2

    def full(value: Any) -> tuple[int, ...]:
        return value if isinstance(value, tuple) and len(value) == n else (value,) * n

    return tuple(full(options.get(k, v)) for k, v in (("stride", 1), ("padding", 0), ("dilation", 1)))


def _passes() -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[Any, ...]]]:
    """Shapes of x, w, dy and the geometry, of the batched samples with numbers for padding and stride."""
    for table in CONV.values():
        for x, w, _, options in table:
            if len(x) == len(w) and not isinstance(options.get("padding"), str):
                stride, padding, dilation = _geometry(w, options)
                out = [
                    (s + 2 * p - d * (k - 1) - 1) // st + 1
                    for s, p, d, k, st in zip(x[2:], padding, dilation, w[2:], stride, strict=True)
                ]
                yield x, w, (x[0], w[0], *out), (stride, padding, dilation, options.get("groups", 1))


def _bwd_data(g: Draw) -> Iterator[Sample]:
    for x, w, dy, geometry in _passes():
        yield S(g.normal(*dy), g.normal(*w), x, *geometry)


def _bwd_weight(g: Draw) -> Iterator[Sample]:
    for x, w, dy, geometry in _passes():
        yield S(g.normal(*dy), g.normal(*x), w, *geometry)


def _bwd_bias(g: Draw) -> Iterator[Sample]:
    for shape in ((1, 1, 1), (0, 3, 4), (2, 5, 7), (3, 17, 5, 6), (1, 33, 1, 1), (2, 3, 2, 3, 4)):
        yield S(g.normal(*shape))


def _convolution(g: Draw) -> Iterator[Sample]:
    for x, w, _, geometry in _passes():
        yield S(g.normal(*x), g.normal(*w), g.normal(w[0]), *geometry[:3], False, (0,) * (len(x) - 2), geometry[3])
    yield S(g.normal(2, 3, 4), g.normal(3, 2, 3), None, [2], [1], [1], True, [1], 1)
    yield S(g.normal(1, 4, 3, 3), g.normal(4, 3, 3, 2), g.normal(6), [2, 1], [1, 0], [1, 2], True, [0, 1], 2)
    yield S(g.normal(1, 2, 2, 2, 2), g.normal(2, 1, 2, 2, 2), None, [1] * 3, [0] * 3, [2] * 3, True, [1] * 3, 1)


def _length(*args: Any, **kwargs: Any) -> int:
    """Of the longest of the three sums: over channels and taps, or over the batch's pixels."""
    shapes = [a.shape for a in args[:2]] + [a for a in args if isinstance(a, tuple) and len(a) >= args[0].ndim]
    pixels = [math.prod(s) // s[1] for s in shapes if s[1]]
    taps = [math.prod(s[1:]) for s in shapes[1:]] + [math.prod(s) // s[1] for s in shapes[1:] if s[1]]
    return max(1, *pixels, *taps)


def _bias_length(dy: Any) -> int:
    return dy.size // dy.shape[1] if dy.shape[1] else 1


def _flops(x: Any, w: Any, b: Any = None, **options: Any) -> float:
    stride, padding, dilation = _geometry(w.shape, options)
    out = [
        (s + 2 * p - d * (k - 1) - 1) // st + 1
        for s, p, d, k, st in zip(x.shape[2:], padding, dilation, w.shape[2:], stride, strict=True)
    ]
    return 2.0 * x.shape[0] * math.prod(out) * math.prod(w.shape)


def _sizes(n: int, size: int = 8) -> tuple[int, ...]:
    return (size,) * n


def _errors(n: int) -> Callable[[Draw], Iterator[Error]]:
    def errors(g: Draw) -> Iterator[Error]:
        x, w = g.normal(1, 4, *_sizes(n)), g.normal(6, 4, *_sizes(n, 3))

        def bad(message: str, *args: Any, kind: Any = RuntimeError, **kwargs: Any) -> Error:
            return Error(S(*args, **kwargs), kind, message)

        yield bad(r"x has 4 channels \(x \(1, 4,.*weight takes 3 \(weight \(6, 3", x, g.normal(6, 3, *_sizes(n, 3)))
        yield bad("x has 4 channels.*weight takes 8.*groups=2", x, w, groups=2)
        yield bad("weight has 6 out channels, not divisible by groups=4", x, g.normal(6, 1, *_sizes(n, 3)), groups=4)
        yield bad(rf"weight must have {n + 2} dimensions", x, g.normal(6, 4))
        yield bad(r"input, not \(8,\)|3D", g.normal(8), w)
        yield bad(r"Expected .*D \(batched\) input", g.normal(1, 1, 4, *_sizes(n)), w)
        yield bad(r"bias must be \(6,\), not \(5,\)", x, w, g.normal(5))
        yield bad(r"bias must be \(6,\), not \(6, 1\)", x, w, g.normal(6, 1))
        yield bad(r"the kernel \(3,.*larger than the padded input \(2,", g.normal(1, 4, *_sizes(n, 2)), w)
        yield bad(r"the kernel \(9,.*larger than the padded input \(8,", x, w, dilation=4)
        yield bad("stride must be positive", x, w, stride=0)
        yield bad("stride must be positive", x, w, stride=-1)
        yield bad("negative padding", x, w, padding=-1)
        yield bad("dilation must be positive", x, w, dilation=0)
        yield bad("groups must be positive", x, w, groups=0)
        yield bad("stride must be one number or", x, w, stride=(1,) * (n + 1))
        yield bad("padding must be one number or", x, w, padding=())
        yield bad("stride must be an int", x, w, stride=1.5, kind=TypeError)
        yield bad("groups must be an int", x, w, groups=1.0, kind=TypeError)
        yield bad("padding must be 'same', 'valid'", x, w, padding="full")
        yield bad("'same' is not supported for strided", x, w, padding="same", stride=2)
        yield bad("weight must not be empty", x, g.normal(0, 4, *_sizes(n, 3)))
        yield bad("no pixels", g.normal(1, 4, *_sizes(n, 0)), g.normal(6, 4, *_sizes(n, 1)), padding=1)
        yield bad("same dtype", x.astype(np.float32), w)
        yield bad("bias is", x, w, np.zeros(6, np.float32))
        yield bad("floating", np.ones(x.shape, bool), np.ones(w.shape, bool), kind=NotImplementedError)
        yield bad("input must be a Tensor", 3, w, kind=TypeError)
        yield bad("weight must be a Tensor", x, None, kind=TypeError)

    return errors


def _transposed_errors(n: int) -> Callable[[Draw], Iterator[Error]]:
    def errors(g: Draw) -> Iterator[Error]:
        x, w = g.normal(1, 4, *_sizes(n)), g.normal(4, 3, *_sizes(n, 3))

        def bad(message: str, *args: Any, kind: Any = RuntimeError, **kwargs: Any) -> Error:
            return Error(S(*args, **kwargs), kind, message)

        yield bad("x has 4 channels.*weight takes 6", x, g.normal(6, 4, *_sizes(n, 3)))
        yield bad("weight has 4 in channels, not divisible by groups=3", x, w, groups=3)
        yield bad(r"bias must be \(6,\), not \(3,\)", x, w, g.normal(3), groups=2)
        yield bad("output_padding must be smaller", x, w, output_padding=1)
        yield bad("output_padding must be smaller", x, w, output_padding=3, stride=2, dilation=3)
        yield bad("negative output_padding", x, w, output_padding=-1, stride=2)
        yield bad("negative padding", x, w, padding=-1)
        yield bad(r"the output would be \(-1", g.normal(1, 4, *_sizes(n, 1)), w, padding=2)
        yield bad(r"the output would be \(0", g.normal(1, 4, *_sizes(n, 2)), g.normal(4, 3, *_sizes(n, 1)), padding=1)
        yield bad(r"Expected .*D \(batched\) input", g.normal(8), w)
        yield bad("padding must be an int", x, w, padding="same", kind=TypeError)

    return errors


def _convolution_errors(g: Draw) -> Iterator[Error]:
    x, w = g.normal(2, 3, 5), g.normal(4, 3, 3)
    yield Error(
        S(g.normal(3, 5), w, None, [1], [0], [1], False, [0], 1), RuntimeError, "spatial dimensions|weight must"
    )
    yield Error(S(x, w, None, [0], [0], [1], False, [0], 1), RuntimeError, "stride must be positive")
    yield Error(S(x, w, None, [1], [0], [1], False, [0], 2), RuntimeError, "x has 3 channels.*takes 6")


def _pass_errors(name: str) -> Callable[[Draw], Iterator[Error]]:
    def errors(g: Draw) -> Iterator[Error]:
        dy, w, x = g.normal(2, 4, 5), g.normal(4, 3, 3), g.normal(2, 3, 7)
        rest = ((1,), (0,), (1,), 1)
        first = S(dy, w, (2, 3, 8), *rest) if name == "data" else S(dy, x, (4, 3, 2), *rest)
        yield Error(first, RuntimeError, r"dy is \(2, 4, 5\), but x .* give \(2, 4, 6\)")
        second = S(dy, w, (2, 4, 7), *rest) if name == "data" else S(dy, x, (4, 4, 3), *rest)
        yield Error(second, RuntimeError, "channels")

    return errors


def _torch_pass(name: str) -> Callable[..., Any]:
    def call(T: Any, dy: Any, other: Any, shape: tuple[int, ...], *geometry: Any) -> Any:
        if T.__name__ == "pydl":
            return getattr(T.ops, f"conv_bwd_{name}")(dy, other, shape, *geometry)
        which = "input" if name == "data" else "weight"
        function = getattr(T.nn.grad, f"conv{dy.ndim - 2}d_{which}")
        return function(shape, other, dy, *geometry) if name == "data" else function(other, shape, dy, *geometry)

    return call


def _bias_pass(T: Any, dy: Any) -> Any:
    if T.__name__ == "pydl":
        return T.ops.conv_bwd_bias(dy)
    return dy.sum((0, *range(2, dy.ndim)))


BENCH = {1: ((4, 33, 301), (65, 33, 3)), 2: ((3, 17, 31, 33), (33, 17, 3, 3)), 3: ((2, 5, 9, 11, 13), (19, 5, 3, 3, 3))}


def _bench(n: int, transposed: bool) -> Callable[[Draw], Sample]:
    def sample(g: Draw) -> Sample:
        x, w = BENCH[n]
        if transposed:
            w = (w[1], w[0], *w[2:])
        return S(g.normal(*x), g.normal(*w), g.normal(max(w[:2])), padding=1)

    return sample


def _bench_pass(name: str) -> Callable[[Draw], Sample]:
    def sample(g: Draw) -> Sample:
        x, w = BENCH[2]
        dy = (x[0], w[0], *x[2:])
        rest = ((1, 1), (1, 1), (1, 1), 1)
        return S(g.normal(*dy), g.normal(*w), x, *rest) if name == "data" else S(g.normal(*dy), g.normal(*x), w, *rest)

    return sample


CASES = {
    "convolution": Case(reference.convolution, _convolution, _convolution_errors, length=_length),
    "conv_bwd_data": Case(
        reference.conv_bwd_data,
        _bwd_data,
        _pass_errors("data"),
        _bench_pass("data"),
        call=_torch_pass("data"),
        length=_length,
    ),
    "conv_bwd_weight": Case(
        reference.conv_bwd_weight,
        _bwd_weight,
        _pass_errors("weight"),
        _bench_pass("weight"),
        call=_torch_pass("weight"),
        length=_length,
    ),
    "conv_bwd_bias": Case(
        reference.conv_bwd_bias,
        _bwd_bias,
        bench=lambda g: S(g.normal(8, 33, 65, 67)),
        call=_bias_pass,
        length=_bias_length,
    ),
    **{
        f"conv{n}d": Case(
            reference.conv, _samples(CONV[n], False), _errors(n), _bench(n, False), _flops, length=_length
        )
        for n in CONV
    },
    **{
        f"conv_transpose{n}d": Case(
            reference.conv_transpose,
            _samples(TRANSPOSED[n], True),
            _transposed_errors(n),
            _bench(n, True),
            length=_length,
        )
        for n in TRANSPOSED
    },
}
