# SPDX-License-Identifier: BSD-3-Clause
"""Reading and writing along one dimension by an index tensor: gather, scatter, index_select, index_add."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import Array, add_rows, dense
from pydl.ops._checks import check_range, dim_arg, index_values, tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops._inplace import inplace_form

__all__ = [
    "gather", "index_add", "index_add_", "index_select", "scatter", "scatter_", "scatter_add", "scatter_add_",
    "take_along_dim",
]  # fmt: skip


def _check_along(x: Tensor, dim: Any, index: Tensor, op_name: str) -> tuple[int, Array]:
    """The normalised dim and the index, which has as many dimensions as x and in the others no larger sizes."""
    tensor_arg(x, op_name, "input")
    values = index_values(index, op_name)
    dim = dim_arg(dim, x.array.ndim, op_name)
    if values.size == 0:
        return dim, values
    if max(values.ndim, 1) != max(x.array.ndim, 1):
        raise ShapeError(
            f"{op_name}: Index tensor must have the same number of dimensions as input tensor "
            f"(index {values.shape}, input {tuple(x.array.shape)})"
        )
    for d, (n, limit) in enumerate(zip(values.shape, x.array.shape, strict=False)):
        if d != dim and n > limit:
            raise ShapeError(
                f"{op_name}: Size does not match at dimension {d}: expected index {values.shape} to be no larger than "
                f"input {tuple(x.array.shape)} apart from dimension {dim}"
            )
    check_range(values, x.array.shape[dim] if x.array.ndim else 1, dim, op_name)
    return dim, values


def _check_source(src: Tensor, index: Array, x: Tensor, op_name: str) -> None:
    tensor_arg(src, op_name, "src")
    if src.array.dtype != x.array.dtype:
        raise RuntimeError(f"{op_name}: Expected self.dtype to be equal to src.dtype, not {x.dtype} and {src.dtype}")
    if index.size and (
        max(src.array.ndim, 1) != max(index.ndim, 1)
        or any(n > limit for n, limit in zip(index.shape, src.array.shape, strict=False))
    ):
        raise ShapeError(
            f"{op_name}: Expected index {index.shape} to be no larger than src {src.array.shape} in any dimension"
        )


def _places(index: Array, dim: int) -> tuple[Array, ...]:
    """The NumPy key of the elements that an index along `dim` names."""
    key = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    key[dim] = index
    return tuple(key)


def _corner(a: Array, index: Array) -> Array:
    """The part of `a` that an index of that shape walks over."""
    return a[tuple(slice(n) for n in index.shape)]


@op(numpy_backed=True)
class gather:
    """y[i][j] = x[index[i][j]][j] for dim 0 of a 2-d tensor: each element of the index names a place along `dim`.

    Shapes: index has as many dimensions as x, none larger than in x but `dim`; y has the shape of index.
    Gradient: dx = zeros.scatter_add(dim, index, dy).
    Errors: IndexError for an index outside of [0, size); ShapeError. Source: torch.gather; `sparse_grad` has no effect.

    Example:
        >>> import pydl
        >>> pydl.gather(pydl.tensor([[1., 2.], [3., 4.]]), 1, pydl.tensor([[0], [1]]))
        tensor([[1.],
                [4.]])
    """

    def check(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> tuple[Any, ...]:
        dim, _ = _check_along(input, dim, index, "gather")
        return input, dim, index

    def forward(ctx: Any, x: Tensor, dim: int, index: Tensor) -> Tensor:
        ctx.save(index)
        ctx.dim, ctx.shape = dim, x.array.shape
        a, i = np.atleast_1d(x.array), np.atleast_1d(index.array)
        if i.size == 0:
            return wrap(np.empty(index.array.shape, a.dtype))
        return dense(a[_places(i, dim)].reshape(index.array.shape))

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (index,) = ctx.saved
        return dy.new_zeros(ctx.shape).scatter_add(ctx.dim, index, dy)


def _scatter_args(x: Tensor, dim: Any, index: Tensor, src: Tensor, op_name: str) -> tuple[Any, ...]:
    dim, values = _check_along(x, dim, index, op_name)
    _check_source(src, values, x, op_name)
    return x, dim, index, src


def _scattered(ctx: Any, x: Tensor, dim: int, index: Tensor, src: Tensor, write: Any) -> Tensor:
    """A copy of x into which `write` puts src; keeps what the gradients need."""
    ctx.save(index)
    ctx.dim, ctx.src_shape = dim, src.array.shape
    y = x.array.copy()
    write(y, dim, index, src)
    return wrap(y)


def _source_gradient(ctx: Any, dy: Tensor) -> Tensor | None:
    """dsrc = dy.gather(dim, index), zeros where src was not read."""
    return _padded(dy.gather(ctx.dim, ctx.saved[0]), ctx.src_shape) if ctx.needs[3] else None


@op(numpy_backed=True)
class scatter_add:
    """y = x, then y[index[i][j]][j] += src[i][j] for dim 0 of a 2-d tensor: the adjoint of gather.

    Shapes: index has as many dimensions as x and src, none larger than in src, nor than in x but `dim`.
    Gradient: dx = dy, dsrc = dy.gather(dim, index).
    Errors: IndexError for an index outside of [0, size); ShapeError; RuntimeError if the types of x and src differ.
    Repeated places are added in the order of the elements: the same bits each time. Source: torch.scatter_add.

    Example:
        >>> import pydl
        >>> pydl.zeros(3).scatter_add(0, pydl.tensor([0, 2, 2]), pydl.tensor([1., 2., 3.]))
        tensor([1., 0., 5.])
    """

    def check(input: Tensor, dim: int, index: Tensor, src: Tensor) -> tuple[Any, ...]:
        return _scatter_args(input, dim, index, src, "scatter_add")

    def forward(ctx: Any, x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
        return _scattered(ctx, x, dim, index, src, _scatter_add_into)

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy, None, None, _source_gradient(ctx, dy)


def _scatter_add_into(y: Array, dim: int, index: Tensor, src: Tensor) -> None:
    i = np.atleast_1d(index.array)
    if i.size:
        np.add.at(y if y.ndim else y.reshape(1), _places(i, dim), _corner(np.atleast_1d(src.array), i))


scatter_add_ = inplace_form(scatter_add, _scatter_add_into)


def _padded(part: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with `part` in the first corner; `part` itself if it fills it."""
    if tuple(part.shape) == tuple(shape) or not shape:
        return part.reshape(shape)
    if part.array.size == 0:
        return part.new_zeros(shape)
    for d, n in enumerate(shape):
        have = part.shape[d]
        if have < n:
            positions = wrap(np.arange(have))
            sizes = (*part.shape[:d], n, *part.shape[d + 1 :])
            part = part.new_zeros(sizes).index_add(d, positions, part)
    return part


@op(numpy_backed=True, name="scatter_src")
class _scatter_src:
    """y = x, then y[index[i][j]][j] = src[i][j]; where places repeat, the last stays.

    Gradient: dx = dy with zeros where x was overwritten; dsrc = dy.gather(dim, index). Source: torch.scatter.
    """

    def check(input: Tensor, dim: int, index: Tensor, src: Tensor) -> tuple[Any, ...]:
        return _scatter_args(input, dim, index, src, "scatter")

    def forward(ctx: Any, x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
        return _scattered(ctx, x, dim, index, src, _scatter_into)

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        dx = dy.scatter(ctx.dim, ctx.saved[0], 0.0) if ctx.needs[0] else None
        return dx, None, None, _source_gradient(ctx, dy)


def _scatter_into(y: Array, dim: int, index: Tensor, src: Tensor) -> None:
    i = np.atleast_1d(index.array)
    if i.size:
        (y if y.ndim else y.reshape(1))[_places(i, dim)] = _corner(np.atleast_1d(src.array), i)


_scatter_src_ = inplace_form(_scatter_src, _scatter_into)


def _scatter_source(input: Tensor, index: Tensor, src: Any, value: Any) -> Tensor:
    source = value if src is None else src
    if isinstance(source, Tensor) and (src is not None or source.array.ndim):
        return source
    tensor_arg(index, "scatter", "index")
    if not isinstance(source, (Tensor, bool, int, float, np.generic)):
        raise TypeError(f"scatter: src must be a Tensor or a number, not {type(source).__name__}")
    number = source.array if isinstance(source, Tensor) else np.array(source, input.array.dtype)
    return wrap(np.broadcast_to(number, index.array.shape))


@composite
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """y = x, then y[index[i][j]][j] = src[i][j] for dim 0 of a 2-d tensor; `src` may be one number.

    With `reduce="add"` the values are added. Where places repeat without it, the last value stays.
    Shapes: as `scatter_add`. Gradient: dx = dy with zeros where x was overwritten; dsrc = dy.gather(dim, index).
    Errors: IndexError for an index outside of [0, size); ShapeError. Source: torch.scatter.

    Example:
        >>> import pydl
        >>> pydl.zeros(3).scatter(0, pydl.tensor([2]), pydl.tensor([7.]))
        tensor([0., 0., 7.])
    """
    tensor_arg(input, "scatter", "input")
    if reduce not in (None, "add"):
        raise NotImplementedError(f"scatter: reduce={reduce!r} is not covered; there is 'add'")
    source = _scatter_source(input, index, src, value)
    return scatter_add(input, dim, index, source) if reduce == "add" else _scatter_src(input, dim, index, source)


def scatter_(
    self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """`scatter` in place. Source: torch.Tensor.scatter_."""
    if reduce not in (None, "add"):
        raise NotImplementedError(f"scatter_: reduce={reduce!r} is not covered; there is 'add'")
    source = _scatter_source(self, index, src, value)
    return (scatter_add_ if reduce == "add" else _scatter_src_)(self, dim, index, source)


def _check_rows(x: Tensor, dim: Any, index: Tensor, op_name: str) -> int:
    tensor_arg(x, op_name, "input")
    values = index_values(index, op_name)
    dim = dim_arg(dim, x.array.ndim, op_name)
    if values.ndim > 1:
        raise ShapeError(f"{op_name}: index must have at most one dimension, not {values.shape}")
    check_range(values, x.array.shape[dim] if x.array.ndim else 1, dim, op_name)
    return dim


@op(numpy_backed=True)
class index_select:
    """y = x[…, index, …]: the slices of `dim` that a 1-d index names.

    Shapes: y has the shape of x with size len(index) in `dim`. Gradient: dx = zeros.index_add(dim, index, dy).
    Errors: IndexError for an index outside of [0, size). Source: torch.index_select.

    Example:
        >>> import pydl
        >>> pydl.index_select(pydl.tensor([[1., 2.], [3., 4.]]), 1, pydl.tensor([1]))
        tensor([[2.],
                [4.]])
    """

    def check(input: Tensor, dim: int, index: Tensor) -> tuple[Any, ...]:
        return input, _check_rows(input, dim, index, "index_select"), index

    def forward(ctx: Any, x: Tensor, dim: int, index: Tensor) -> Tensor:
        ctx.save(index)
        ctx.dim, ctx.shape = dim, x.array.shape
        if x.array.ndim == 0:
            return wrap(x.array.copy())
        return dense(np.take(x.array, np.atleast_1d(index.array), axis=dim))

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (index,) = ctx.saved
        return dy.new_zeros(ctx.shape).index_add(ctx.dim, index, dy)


@op(numpy_backed=True)
class index_add:
    """y = x, then y[…, index[i], …] += alpha · source[…, i, …].

    Shapes: source has the shape of x with size len(index) in `dim`.
    Gradient: dx = dy; dsource = alpha · dy.index_select(dim, index).
    Errors: IndexError for an index outside of [0, size); ShapeError; RuntimeError if the types differ.
    Source: torch.index_add.

    Example:
        >>> import pydl
        >>> pydl.zeros(3).index_add(0, pydl.tensor([1, 1]), pydl.ones(2), alpha=2)
        tensor([0., 4., 0.])
    """

    def check(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> tuple[Any, ...]:
        dim = _check_rows(input, dim, index, "index_add")
        tensor_arg(source, "index_add", "source")
        x, s = input.array, source.array
        if x.dtype != s.dtype:
            raise RuntimeError(f"index_add: input and source must have one type, not {input.dtype} and {source.dtype}")
        expected = (*x.shape[:dim], index.array.size, *x.shape[dim + 1 :]) if x.ndim else s.shape
        if s.shape != expected or (x.ndim == 0 and s.size != index.array.size):
            raise ShapeError(f"index_add: source has shape {s.shape} but {expected} is needed (input {x.shape})")
        return input, dim, index, source, alpha

    def forward(ctx: Any, x: Tensor, dim: int, index: Tensor, source: Tensor, alpha: float) -> Tensor:
        ctx.save(index)
        ctx.dim, ctx.alpha, ctx.shape = dim, alpha, source.array.shape
        y = x.array.copy()
        _index_add_into(y, dim, index, source, alpha)
        return wrap(y)

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved
        dsource = None
        if ctx.needs[3]:
            dsource = dy.index_select(ctx.dim, index).reshape(ctx.shape)
            dsource = dsource if ctx.alpha == 1 else dsource * ctx.alpha
        return dy, None, None, dsource


def _index_add_into(y: Array, dim: int, index: Tensor, source: Tensor, alpha: float) -> None:
    target, added = np.atleast_1d(y), np.atleast_1d(source.array)
    scaled = added if alpha == 1 else added * added.dtype.type(alpha)
    rows = np.atleast_1d(index.array)
    if target.size == 0 or rows.size == 0:
        return
    slices = np.moveaxis(target, dim, 0)
    total = slices.reshape(slices.shape[0], -1)  # a view if the memory allows it
    add_rows(total, rows, np.moveaxis(scaled, dim, 0).reshape(rows.size, -1))
    if not np.may_share_memory(total, slices):
        slices[...] = total.reshape(slices.shape)


index_add_ = inplace_form(index_add, _index_add_into)


@composite
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """y = x.gather(dim, indices) with the other dimensions broadcast; without `dim`, of the flattened tensors.

    Shapes: those of indices, broadcast with x in every dimension but `dim`. Gradient and errors: as `gather`.
    Source: torch.take_along_dim.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([[3., 1., 2.]])
        >>> pydl.take_along_dim(x, pydl.argsort(x, dim=1), dim=1)
        tensor([[1., 2., 3.]])
    """
    tensor_arg(input, "take_along_dim", "input")
    values = index_values(indices, "take_along_dim", "indices")
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    if values.ndim != input.array.ndim:
        raise ShapeError(
            f"take_along_dim: indices {values.shape} and input {tuple(input.array.shape)} must have as many dimensions"
        )
    dim = dim_arg(dim, input.array.ndim, "take_along_dim")
    both = list(zip(input.array.shape, values.shape, strict=True))
    if any(n != m and 1 not in (n, m) for d, (n, m) in enumerate(both) if d != dim):
        raise ShapeError(f"take_along_dim: indices {values.shape} and input {input.array.shape} do not broadcast")
    common = [m if n == 1 else n for n, m in both]
    wide = input.expand(*along_sizes(common, dim, input.array.shape[dim]))
    return gather(wide, dim, indices.expand(*along_sizes(common, dim, values.shape[dim])))


def along_sizes(sizes: list[int], dim: int, n: int) -> list[int]:
    """`sizes` with n at `dim`."""
    return [*sizes[:dim], n, *sizes[dim + 1 :]]
