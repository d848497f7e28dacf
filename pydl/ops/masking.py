# SPDX-License-Identifier: BSD-3-Clause
"""Operations steered by a bool mask, and the places where a tensor is not zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import Array, dense
from pydl.ops._checks import broadcast_shape, tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops._inplace import inplace_form
from pydl.ops.indexing import index

__all__ = ["argwhere", "count_nonzero", "masked_fill", "masked_fill_", "masked_select", "nonzero"]


def _check_mask(input: Tensor, mask: Tensor, op_name: str) -> tuple[int, ...]:
    tensor_arg(input, op_name, "input")
    tensor_arg(mask, op_name, "mask")
    if mask.dtype.np != np.bool_:
        raise RuntimeError(f"{op_name}: expected a bool mask, but got {mask.dtype}")
    return broadcast_shape(op_name, input=input, mask=mask)


@op(numpy_backed=True)
class masked_fill:
    """y = value where the mask is True, else x.

    Shapes: x and mask broadcast; value is a number or a 0-d tensor, converted to the type of x.
    Gradient: dx = dy where the mask is False, else 0; dvalue = the sum of dy where it is True.
    Errors: RuntimeError for a mask that is not bool or a value with dimensions. Source: torch.masked_fill.

    Example:
        >>> import pydl
        >>> pydl.masked_fill(pydl.tensor([1., 2.]), pydl.tensor([True, False]), 0.0)
        tensor([0., 2.])
    """

    def check(input: Tensor, mask: Tensor, value: Any) -> tuple[Any, ...]:
        _check_mask(input, mask, "masked_fill")
        if isinstance(value, Tensor):
            if value.ndim:
                raise RuntimeError(
                    "masked_fill: only supports a 0-dimensional value tensor, but got tensor with "
                    f"{value.ndim} dimension(s)."
                )
            if value.dtype is not input.dtype:
                value = value.to(input.dtype)
        else:
            value = wrap(np.array(value, input.dtype.np))
        return input, mask, value

    def forward(ctx: Any, x: Tensor, mask: Tensor, value: Tensor) -> Tensor:
        ctx.save(mask)
        ctx.shape = x.array.shape
        return dense(np.where(mask.array, value.array, x.array))

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (mask,) = ctx.saved
        dx = dvalue = None
        if ctx.needs[0]:
            dx = dy.masked_fill(mask, 0.0).sum_to_size(ctx.shape)
        if ctx.needs[2]:
            dvalue = dy.masked_fill(~mask, 0.0).sum()
        return dx, None, dvalue


def _fill(y: Array, mask: Tensor, value: Tensor) -> None:
    if np.broadcast_shapes(mask.array.shape, y.shape) != y.shape:
        raise ShapeError(f"masked_fill_: the mask {mask.array.shape} does not fit into the tensor {y.shape}")
    np.copyto(y, value.array, where=mask.array)


masked_fill_ = inplace_form(masked_fill, _fill)


@composite
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """y = the elements of x where the mask is True, as a 1-d tensor.

    Shapes: x and mask broadcast. Gradient: dx = dy at the elements taken, else 0.
    Errors: RuntimeError for a mask that is not bool. Source: torch.masked_select.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([1., -2., 3.])
        >>> pydl.masked_select(x, x > 0)
        tensor([1., 3.])
    """
    shape = _check_mask(input, mask, "masked_select")
    if not shape:  # one element, taken or not
        return index(input.reshape(1), (np.zeros(int(mask.array), np.int64),))
    return index(input.expand(shape), np.broadcast_to(mask.array, shape).nonzero())


@composite(differentiable=False)
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not zero, in the order of the elements.

    Shapes: (number of them, ndim) int64; with `as_tuple` one 1-d tensor per dimension (a 0-d tensor counts as 1-d).
    Gradient: none. Errors: TypeError unless x is a Tensor. Source: torch.nonzero.

    Example:
        >>> import pydl
        >>> pydl.nonzero(pydl.tensor([0, 3, 0, 5]))
        tensor([[1],
                [3]])
    """
    tensor_arg(input, "nonzero", "input")
    if as_tuple:
        return tuple(wrap(i) for i in np.atleast_1d(input.array).nonzero())
    return dense(np.argwhere(input.array))


@composite(differentiable=False)
def argwhere(input: Tensor) -> Tensor:
    """The indices of the elements that are not zero: `nonzero`.

    Shapes: (number of them, ndim). Gradient: none. Errors: TypeError unless x is a Tensor. Source: torch.argwhere.

    Example:
        >>> import pydl
        >>> pydl.argwhere(pydl.tensor([True, False, True]))
        tensor([[0],
                [2]])
    """
    tensor_arg(input, "argwhere", "input")
    return dense(np.argwhere(input.array))


@composite(differentiable=False)
def count_nonzero(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """How many elements are not zero, over all or along `dim`.

    Shapes: int64. Gradient: none. Errors: IndexError for a dim out of range. Source: torch.count_nonzero.

    Example:
        >>> import pydl
        >>> pydl.count_nonzero(pydl.tensor([0., 1., 2.]))
        tensor(2)
    """
    tensor_arg(input, "count_nonzero", "input")
    return dense(np.asarray(np.count_nonzero(input.array, axis=dim), np.int64))
