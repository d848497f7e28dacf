# SPDX-License-Identifier: BSD-3-Clause
"""Convolution of 1 to 3 spatial dimensions, its two gradients as operations of their own, and conv1d to conv3d.

With y = x * w, dx = conv_bwd_data(dy, w) and dw = conv_bwd_weight(dy, x). Each of the three is linear in both of its
tensors, and each of its gradients is one of the three again: the set is closed, derivatives of any order stay in
compiled core.
"""

from __future__ import annotations

from typing import Any

from pydl._core import conv as core
from pydl._core.errors import ShapeError
from pydl._core.formats import in_own_format
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled
from pydl.ops._checks import per_dim_arg, tensor_arg
from pydl.ops._conv_checks import (
    Sizes,
    check_geometry,
    check_tensors,
    groups_arg,
    out_sizes,
    transposed_sizes,
)
from pydl.ops._declare import composite, op
from pydl.ops.native import add_, contiguous, expand, permute, squeeze, unsqueeze, view
from pydl.ops.padding import pad

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_bwd_bias", "conv_bwd_data", "conv_bwd_weight", "convolution",
]  # fmt: skip


def _beyond(x: Tensor, stride: Sizes, output_padding: Sizes) -> tuple[Tensor, Sizes]:
    """For an output_padding that reaches past a stride: x with zeros after its end, and what remains of the padding.

    Such outputs are what one more pixel of x, a zero, would give; then the sizes are those of a convolution.
    """
    extra = [p // s for p, s in zip(output_padding, stride, strict=True)]
    if not any(extra):
        return x, output_padding
    amounts = [side for e in reversed(extra) for side in (0, e)]
    return pad(x, amounts), tuple(p - e * s for p, e, s in zip(output_padding, extra, stride, strict=True))


@op
class convolution:
    """y[n,k,p] = b[k] + Σ_{c,r} x[n, c, p·stride + r·dilation − padding] w[k,c,r], or transposed, in 1 to 3 dimensions.

    Transposed, it is the gradient of that in x: y[n,k,·] += Σ_c x[n,c,p] w[c,k,r] at p·stride + r·dilation − padding.
    The channels are cut into `groups` that do not mix.
    Shapes: x (N, C, …), w (K, C/groups, …), or (C, K/groups, …) transposed, b (K), y (N, K, …); float32 or float64.
    Gradient: dx by conv_bwd_data, or an ordinary convolution; dw by conv_bwd_weight; db by conv_bwd_bias.
    Errors: ShapeError. Cost: 2 N K P (C/groups) R operations for P outputs and R taps. Source: torch.convolution.

    Example:
        >>> import pydl
        >>> x, w = pydl.ones(1, 1, 4), pydl.tensor([[[1., 2.]]])
        >>> pydl.convolution(x, w, None, [1], [0], [1], False, [0], 1)
        tensor([[[3., 3., 3.]]])
        >>> pydl.convolution(x, w, None, [1], [0], [1], True, [0], 1)
        tensor([[[1., 3., 3., 3., 2.]]])
    """

    def check(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Sizes,
        padding: Sizes,
        dilation: Sizes,
        transposed: bool,
        output_padding: Sizes,
        groups: int,
    ) -> tuple[Any, ...]:
        tensor_arg(input, "convolution", "input")
        n = input.ndim - 2
        name = f"conv_transpose{n}d" if transposed else f"conv{n}d"
        check_tensors(name, n, input=input, weight=weight, bias=bias)
        stride, padding = per_dim_arg(stride, n, name, "stride"), per_dim_arg(padding, n, name, "padding")
        dilation = per_dim_arg(dilation, n, name, "dilation")
        output_padding = per_dim_arg(output_padding, n, name, "output_padding")
        rest = (stride, padding, dilation, groups_arg(groups, name))
        b_shape = None if bias is None else bias.shape
        check_geometry(name, input.shape, weight.shape, b_shape, *rest, transposed, output_padding)
        if transposed:
            input, output_padding = _beyond(input, stride, output_padding)
        return input, weight, bias, *rest, transposed, output_padding

    def forward(
        ctx: Any,
        x: Tensor,
        w: Tensor,
        b: Tensor | None,
        stride: Sizes,
        padding: Sizes,
        dilation: Sizes,
        groups: int,
        transposed: bool,
        output_padding: Sizes,
    ) -> Tensor:
        ctx.save(x if ctx.needs[1] else None, w if ctx.needs[0] else None)
        ctx.shapes, ctx.transposed = (x.shape, w.shape), transposed
        ctx.geometry = (stride, padding, dilation, groups)
        if not transposed:
            y: Tensor = core.conv_fwd(x, w, b, *ctx.geometry)
            return y
        spatial = transposed_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation, output_padding)
        y = core.conv_bwd_data(x, w, (x.shape[0], w.shape[1] * groups, *spatial), *ctx.geometry)
        return y if b is None else _add_bias(y, b)

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved
        x_shape, w_shape = ctx.shapes
        dx = dw = None
        if not (is_grad_enabled() and dy.requires_grad):
            dy = in_own_format(dy)  # once for all passes
        if ctx.transposed:
            if ctx.needs[0]:
                dx = _plain(dy, w, *ctx.geometry)
            if ctx.needs[1]:
                dw = conv_bwd_weight.unchecked(x, dy, w_shape, *ctx.geometry)
        else:
            if ctx.needs[0]:
                dx = conv_bwd_data.unchecked(dy, w, x_shape, *ctx.geometry)
            if ctx.needs[1]:
                dw = conv_bwd_weight.unchecked(dy, x, w_shape, *ctx.geometry)
        return dx, dw, conv_bwd_bias.unchecked(dy) if ctx.needs[2] else None


def _add_bias(y: Tensor, b: Tensor) -> Tensor:
    """y += b by channels, in place: by whole rows, since K numbers at a time took 2 to 30 × as long."""
    n, k, width = y.ndim - 2, b.shape[0], y.shape[-1]
    row = contiguous(expand(view(b, (1,) * (n + 1) + (k,)), (1,) * n + (width, k)))
    sum_: Tensor = add_(y, permute(row, (0, n + 1, *range(1, n + 1))))
    return sum_


def _plain(x: Tensor, w: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    return convolution.unchecked(x, w, None, stride, padding, dilation, groups, False, ())


def _check_pass(
    name: str, dy: Tensor, x_shape: Sizes, w_shape: Sizes, stride: Any, padding: Any, dilation: Any, groups: int
) -> tuple[Any, ...]:
    """The geometry of a gradient: dy must have the shape of the convolution of x with w."""
    n = len(x_shape) - 2
    stride, padding = per_dim_arg(stride, n, name, "stride"), per_dim_arg(padding, n, name, "padding")
    dilation, groups = per_dim_arg(dilation, n, name, "dilation"), groups_arg(groups, name)
    check_geometry(name, x_shape, w_shape, None, stride, padding, dilation, groups)
    wanted = (x_shape[0], w_shape[0], *out_sizes(x_shape[2:], w_shape[2:], stride, padding, dilation))
    if tuple(dy.shape) != wanted:
        raise ShapeError(
            f"{name}: dy is {tuple(dy.shape)}, but x {tuple(x_shape)} and weight {tuple(w_shape)} give {wanted}"
        )
    return stride, padding, dilation, groups


@op
class conv_bwd_data:
    """dx of a convolution from dy and its weight: dx[n, c, p·stride + r·dilation − padding] += Σ_k dy[n,k,p] w[k,c,r].

    Shapes: dy (N, K, …), w (K, C/groups, …), dx `input_shape`, of which an ordinary convolution must give that dy.
    Gradient: in dy the convolution of g with w; in w conv_bwd_weight(dy, g).
    Errors: ShapeError. Source: torch.nn.grad.conv2d_input.

    Example:
        >>> import pydl
        >>> dy, w = pydl.ones(1, 1, 2), pydl.tensor([[[1., 2.]]])
        >>> pydl.ops.conv_bwd_data(dy, w, (1, 1, 3), (1,), (0,), (1,), 1)
        tensor([[[1., 3., 2.]]])
    """

    def check(
        grad_output: Tensor,
        weight: Tensor,
        input_shape: Sizes,
        stride: Sizes,
        padding: Sizes,
        dilation: Sizes,
        groups: int,
    ) -> tuple[Any, ...]:
        name, shape = "conv_bwd_data", tuple(input_shape)
        check_tensors(name, len(shape) - 2, grad_output=grad_output, weight=weight)
        geometry = _check_pass(name, grad_output, shape, weight.shape, stride, padding, dilation, groups)
        return grad_output, weight, shape, *geometry

    def forward(ctx: Any, dy: Tensor, w: Tensor, shape: Sizes, *geometry: Any) -> Tensor:
        ctx.save(dy if ctx.needs[1] else None, w if ctx.needs[0] else None)
        ctx.shape, ctx.geometry = w.shape, geometry
        dx: Tensor = core.conv_bwd_data(dy, w, shape, *geometry)
        return dx

    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        dy, w = ctx.saved
        d_dy = _plain(g, w, *ctx.geometry) if ctx.needs[0] else None
        return d_dy, conv_bwd_weight.unchecked(dy, g, ctx.shape, *ctx.geometry) if ctx.needs[1] else None


@op
class conv_bwd_weight:
    """dw of a convolution from dy and x: dw[k,c,r] = Σ_{n,p} dy[n,k,p] x[n, c, p·stride + r·dilation − padding].

    Shapes: dy (N, K, …), x (N, C, …), dw `weight_shape` = (K, C/groups, …).
    Gradient: in dy the convolution of x with g; in x conv_bwd_data(dy, g).
    Errors: ShapeError. Source: torch.nn.grad.conv2d_weight.

    Example:
        >>> import pydl
        >>> dy, x = pydl.ones(1, 1, 2), pydl.tensor([[[1., 2., 3.]]])
        >>> pydl.ops.conv_bwd_weight(dy, x, (1, 1, 2), (1,), (0,), (1,), 1)
        tensor([[[3., 5.]]])
    """

    def check(
        grad_output: Tensor,
        input: Tensor,
        weight_shape: Sizes,
        stride: Sizes,
        padding: Sizes,
        dilation: Sizes,
        groups: int,
    ) -> tuple[Any, ...]:
        name, shape = "conv_bwd_weight", tuple(weight_shape)
        check_tensors(name, len(shape) - 2, grad_output=grad_output, input=input)
        geometry = _check_pass(name, grad_output, input.shape, shape, stride, padding, dilation, groups)
        return grad_output, input, shape, *geometry

    def forward(ctx: Any, dy: Tensor, x: Tensor, shape: Sizes, *geometry: Any) -> Tensor:
        ctx.save(dy if ctx.needs[1] else None, x if ctx.needs[0] else None)
        ctx.shape, ctx.geometry = x.shape, geometry
        dw: Tensor = core.conv_bwd_weight(dy, x, shape, *geometry)
        return dw

    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        dy, x = ctx.saved
        d_dy = _plain(x, g, *ctx.geometry) if ctx.needs[0] else None
        return d_dy, conv_bwd_data.unchecked(dy, g, ctx.shape, *ctx.geometry) if ctx.needs[1] else None


@op
class conv_bwd_bias:
    """db[k] = Σ_{n,p} dy[n,k,p], the gradient of a convolution's bias.

    Shapes: dy (N, K, …), db (K). Gradient: g broadcast to dy.
    Errors: ShapeError for fewer than 3 or more than 5 dimensions. Source: part of aten::convolution_backward.

    Example:
        >>> import pydl
        >>> pydl.ops.conv_bwd_bias(pydl.ones(2, 3, 4))
        tensor([8., 8., 8.])
    """

    def check(grad_output: Tensor) -> tuple[Any, ...]:
        check_tensors("conv_bwd_bias", grad_output.ndim - 2, grad_output=grad_output)
        return (grad_output,)

    def forward(ctx: Any, dy: Tensor) -> Tensor:
        ctx.shape = dy.shape
        db: Tensor = core.conv_bwd_bias(dy)
        return db

    def backward(ctx: Any, g: Tensor) -> Tensor:
        return expand(view(g, (-1,) + (1,) * (len(ctx.shape) - 2)), ctx.shape)


def _same(x: Tensor, kernel: Sizes, dilation: Sizes) -> tuple[Tensor, Sizes]:
    """The padding that keeps the size; where it is odd, x gets one zero more after its end, as in PyTorch."""
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        x = pad(x, [side for t in reversed(total) for side in (0, t % 2)])
    return x, tuple(t // 2 for t in total)


def _conv(n: int, x: Tensor, w: Tensor, b: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """What conv1d, conv2d and conv3d do."""
    is_plain = isinstance(x, Tensor) and isinstance(w, Tensor) and x.ndim == w.ndim == n + 2
    if is_plain and not isinstance(padding, str):  # which convolution checks itself
        return convolution(x, w, b, stride, padding, dilation, False, 0, groups)
    name = f"conv{n}d"
    batched = check_tensors(name, n, unbatched=True, input=x, weight=w, bias=b)
    if isinstance(padding, str):
        stride = per_dim_arg(stride, n, name, "stride")
        dilation = per_dim_arg(dilation, n, name, "dilation")
        if padding == "valid":
            padding = 0
        elif padding != "same":
            raise ShapeError(f"{name}: padding must be 'same', 'valid' or numbers, not {padding!r}")
        elif any(s != 1 for s in stride):
            raise ShapeError(f"{name}: padding='same' is not supported for strided convolutions (stride {stride})")
        elif min(dilation) < 1:
            raise ShapeError(f"{name}: dilation must be positive, not {dilation}")
        else:
            x, padding = _same(x, w.shape[2:], dilation)
    if batched:
        return convolution(x, w, b, stride, padding, dilation, False, 0, groups)
    return squeeze(convolution(unsqueeze(x, 0), w, b, stride, padding, dilation, False, 0, groups), 0)


@composite
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes | str = 0,
    dilation: int | Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """y[n,k,p] = b[k] + Σ_{c,r} x[n, c, p·stride + r·dilation − padding] w[k,c,r]: cross-correlation of signals.

    Shapes: x (N, C, W) or (C, W), w (K, C/groups, S), b (K), y (N, K, Q) with
    Q = ⌊(W + 2 padding − dilation (S−1) − 1) / stride⌋ + 1.
    Gradient, errors, `padding`: as conv2d. Source: torch.nn.functional.conv1d.

    Example:
        >>> import pydl
        >>> pydl.conv1d(pydl.tensor([[1., 2., 4.]]), pydl.tensor([[[-1., 1.]]]))
        tensor([[1., 2.]])
    """
    y: Tensor = _conv(1, input, weight, bias, stride, padding, dilation, groups)
    return y


@composite
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes | str = 0,
    dilation: int | Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """y[n,k,p,q] = b[k] + Σ_{c,r,s} x[n, c, p·stride + r·dilation − padding, q·…] w[k,c,r,s]: correlation of images.

    `padding`: zeros on both sides, a number or one for each dimension; "valid" is 0, "same" keeps the size (stride 1
    only; an odd amount has one more after the end).
    Shapes: x (N, C, H, W) or (C, H, W), w (K, C/groups, R, S), b (K), y (N, K, P, Q) with
    P = ⌊(H + 2 padding − dilation (R−1) − 1) / stride⌋ + 1.
    Gradient: dx by conv_bwd_data, dw by conv_bwd_weight, db the sum of dy; what nobody needs is not computed.
    Errors: ShapeError where channels, groups or sizes do not fit. Source: torch.nn.functional.conv2d.

    Example:
        >>> import pydl
        >>> x = pydl.ones(1, 1, 3, 3)
        >>> pydl.conv2d(x, pydl.ones(1, 1, 3, 3), padding=1)
        tensor([[[[4., 6., 4.],
                  [6., 9., 6.],
                  [4., 6., 4.]]]])
    """
    y: Tensor = _conv(2, input, weight, bias, stride, padding, dilation, groups)
    return y


@composite
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes | str = 0,
    dilation: int | Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of volumes, as conv2d with one more dimension.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), w (K, C/groups, T, R, S), b (K), y (N, K, O, P, Q).
    Gradient, errors, `padding`: as conv2d. Source: torch.nn.functional.conv3d.

    Example:
        >>> import pydl
        >>> pydl.conv3d(pydl.ones(1, 2, 2, 2), pydl.ones(3, 1, 2, 2, 2)).flatten()
        tensor([8., 8., 8.])
    """
    y: Tensor = _conv(3, input, weight, bias, stride, padding, dilation, groups)
    return y
