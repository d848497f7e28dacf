# SPDX-License-Identifier: BSD-3-Clause
"""Indexing by tensors: x[rows], x[mask], x[rows, :, cols] = y.

Integers, slices, None and Ellipsis make views and are the core's work. A key that holds anything else comes here: its
basic part is applied first, as in PyTorch, and what is left is one array of indices (or nothing) per dimension.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled, wrap
from pydl.ops._arrays import Array, Index, dense, numpy_key, scatter_index
from pydl.ops._checks import check_range, tensor_arg
from pydl.ops._declare import op
from pydl.ops._inplace import inplace_form

__all__ = ["getitem", "index", "index_put", "index_put_", "setitem"]


def _key_array(item: Any) -> Array:
    """An index given as a tensor, an array or a (nested) list, as an array of integers or bools."""
    if isinstance(item, Tensor):
        a: Array = item.array
    elif isinstance(item, np.ndarray):
        a = item
    else:
        a = np.asarray([i.item() if isinstance(i, Tensor) else i for i in item])
        if a.size == 0:
            a = a.astype(np.int64)
    if a.dtype == np.uint8:
        warnings.warn("indexing with a uint8 mask is deprecated, use bool instead", UserWarning, stacklevel=4)
        return a.astype(np.bool_)
    if a.dtype == np.bool_ or a.dtype in (np.int64, np.int32):
        return a
    raise IndexError(f"indexing: tensors used as indices must be int64, int32 or bool, not {a.dtype}")


def _classify(item: Any) -> Any:
    """A slice, None, Ellipsis, an int, a bool (a mask of no dimensions), or an array."""
    if item is None or item is Ellipsis or isinstance(item, (slice, bool)):
        return item
    if isinstance(item, np.bool_):
        return bool(item)
    if isinstance(item, (Tensor, np.ndarray, list, range)):
        a = _key_array(item)
        return a.item() if a.ndim == 0 else a
    if hasattr(item, "__index__"):
        return item.__index__()
    error = TypeError if isinstance(item, str) else IndexError
    raise error(
        "indexing: only integers, slices (`:`), ellipsis (`...`), None, tensors, arrays and lists of integers or bools "
        f"are valid indices (got {type(item).__name__})"
    )


def _consumed(item: Any) -> int:
    """How many dimensions of the tensor an entry of the key stands for."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if isinstance(item, np.ndarray) and item.dtype == np.bool_:
        return item.ndim
    return 1


def _mask_indices(mask: Array, shape: tuple[int, ...], axis: int) -> tuple[Array, ...]:
    if mask.shape != shape[axis : axis + mask.ndim]:
        raise IndexError(
            f"indexing: The shape of the mask {list(mask.shape)} at index {axis} does not match the shape of the "
            f"indexed tensor {list(shape)} at index {axis}"
        )
    return mask.nonzero()


def plan(shape: tuple[int, ...], key: Any) -> tuple[tuple[Any, ...], Index]:
    """Splits a key into a basic key, which gives a view, and one entry per dimension of that view."""
    if isinstance(key, list) and any(isinstance(i, (slice, list, tuple)) or i is None or i is Ellipsis for i in key):
        raise IndexError(
            "indexing: a list that holds lists or slices has two meanings; write x[tuple(key)] for one index per "
            "dimension, or x[pydl.tensor(key)] for an index tensor"
        )
    items = [_classify(i) for i in (key if isinstance(key, tuple) else (key,))]
    n_used = sum(map(_consumed, items))
    if n_used > len(shape):
        raise IndexError(
            f"indexing: too many indices for tensor of dimension {len(shape)}: {n_used} for shape {tuple(shape)}"
        )
    if sum(i is Ellipsis for i in items) > 1:
        raise IndexError("indexing: an index can only have a single ellipsis ('...')")
    basic: list[Any] = []
    index: list[Array | None] = []
    axis = 0
    for item in items:
        n = len(shape) - n_used if item is Ellipsis else _consumed(item)
        if isinstance(item, bool):  # a new dimension of size 1, kept (True) or emptied (False)
            basic.append(None)
            index.append(np.zeros(int(item), np.int64))
        elif isinstance(item, np.ndarray):
            basic += [slice(None)] * n
            index += _mask_indices(item, shape, axis) if item.dtype == np.bool_ else (item,)
        elif item is Ellipsis:
            basic += [slice(None)] * n
            index += [None] * n
        else:
            basic.append(item)
            if item is None or isinstance(item, slice):
                index.append(None)
        axis += n
    return tuple(basic), tuple(index)


def _normalized(index: Index, shape: tuple[int, ...], op_name: str) -> Index:
    """The index with one entry per dimension, its values checked and made non-negative."""
    if len(index) > len(shape):
        raise IndexError(f"{op_name}: too many indices for tensor of dimension {len(shape)}: {len(index)}")
    arrays: list[Array | None] = []
    for d, i in enumerate(index):
        if i is not None:
            check_range(i, shape[d], d, op_name, negative=True)
            i = np.where(i < 0, i + shape[d], i).astype(np.int64, copy=False)
        arrays.append(i)
    given = [a for a in arrays if a is not None]
    if not given:
        raise IndexError(f"{op_name}: at least one index tensor is needed")
    try:
        np.broadcast_shapes(*(a.shape for a in given))
    except ValueError:
        shapes = ", ".join(str(list(a.shape)) for a in given)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None
    return tuple(arrays) + (None,) * (len(shape) - len(arrays))


def _indices_arg(indices: Any, shape: tuple[int, ...], op_name: str) -> Index:
    """The public form of an index: a tuple of None, integer tensors and masks, as index_put takes it."""
    if not isinstance(indices, (tuple, list)):
        raise TypeError(f"{op_name}: indices must be a tuple of tensors, not {type(indices).__name__}")
    arrays: list[Array | None] = []
    for i in indices:
        if i is None:
            arrays.append(None)
            continue
        a = i if isinstance(i, np.ndarray) else _key_array(i)
        arrays += _mask_indices(a, shape, len(arrays)) if a.dtype == np.bool_ else (a,)
    return _normalized(tuple(arrays), shape, op_name)


@op(numpy_backed=True)
class index:
    """y = x[i₀, i₁, …]: the elements at the places that index tensors name.

    Shapes: the indices broadcast to a shape S; dimensions with an index are replaced by S, at the place of the first of
    them if they are neighbors, else in front. None takes a whole dimension; a bool mask counts as its `nonzero()`.
    Gradient: dx is zero but for the elements read, each gathering the dy of all its readings.
    Errors: IndexError naming the value for an index outside of [−size, size), for masks of another shape, for indices
    that do not broadcast. Source: x[...] (torch.ops.aten.index).

    Example:
        >>> import pydl
        >>> x = pydl.tensor([[1., 2.], [3., 4.]])
        >>> x[[1, 0], [0, 1]], x[x > 1.5]
        (tensor([3., 2.]), tensor([2., 3., 4.]))
    """

    def check(input: Tensor, indices: tuple[Any, ...]) -> tuple[Any, ...]:
        tensor_arg(input, "index", "input")
        return input, _indices_arg(indices, input.array.shape, "index")

    def forward(ctx: Any, x: Tensor, where: Index) -> Tensor:
        ctx.where, ctx.shape = where, x.array.shape
        a: Array = x.array
        if where[0] is not None and all(i is None for i in where[1:]):
            return wrap(np.take(a, where[0], axis=0))
        return dense(a[numpy_key(where)])

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _index_adjoint(dy, ctx.where, ctx.shape)


@op(numpy_backed=True, name="index_adjoint")
class _index_adjoint:
    """dx = the gradient of x[index] for dy: every element of dy added at the place where it was read.

    Shapes: dy has that of x[index]; dx that of x. Gradient: of dy, the given one read by the same index.
    """

    def check(dy: Tensor, where: Index, shape: tuple[int, ...]) -> tuple[Any, ...]:
        return dy, where, shape

    def forward(ctx: Any, dy: Tensor, where: Index, shape: tuple[int, ...]) -> Tensor:
        ctx.where = where
        return dense(scatter_index(dy.array, where, shape))

    def backward(ctx: Any, dx: Tensor) -> Tensor:
        return index(dx, ctx.where)


def _values_arg(values: Tensor, target: Array, where: Index) -> Tensor:
    """The values without the leading dimensions of size 1 that do not fit, checked against what the index reads."""
    shape = _result_shape(target.shape, where)
    own = tuple(values.array.shape)
    extra = max(0, len(own) - len(shape))
    try:
        fits = set(own[:extra]) <= {1} and np.broadcast_shapes(own[extra:], shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"shape mismatch: value tensor of shape {list(own)} cannot be broadcast to indexing result of shape "
            f"{list(shape)}"
        )
    return values.reshape(own[extra:]) if extra else values


def _result_shape(shape: tuple[int, ...], where: Index) -> tuple[int, ...]:
    """The shape of x[index]: the common shape of the indices at the place of their dimensions, or in front."""
    dims = [d for d, i in enumerate(where) if i is not None]
    common = np.broadcast_shapes(*(i.shape for i in where if i is not None))
    if dims[-1] - dims[0] + 1 == len(dims):
        return shape[: dims[0]] + common + shape[dims[-1] + 1 :]
    return common + tuple(n for d, n in enumerate(shape) if d not in dims)


@op(numpy_backed=True)
class index_put:
    """y = x, but y[i₀, i₁, …] = values, or += values if `accumulate`.

    Shapes: values broadcasts to the shape of x[i₀, i₁, …]; y has the shape of x.
    Gradient: dx = dy, but 0 where x was overwritten; dvalues = dy[i₀, i₁, …] summed to the shape of values.
    Errors: as `index`; RuntimeError if the types of x and values differ; ShapeError if values does not broadcast.
    If an index repeats without `accumulate`, the last value stays. Source: torch.index_put.

    Example:
        >>> import pydl
        >>> pydl.index_put(pydl.zeros(3), (pydl.tensor([1, 1]),), pydl.ones(2), accumulate=True)
        tensor([0., 2., 0.])
    """

    def check(input: Tensor, indices: tuple[Any, ...], values: Tensor, accumulate: bool = False) -> tuple[Any, ...]:
        tensor_arg(input, "index_put", "input")
        tensor_arg(values, "index_put", "values")
        if input.array.dtype != values.array.dtype:
            raise RuntimeError(
                "index_put: Index put requires the source and destination dtypes match, "
                f"got {input.dtype} for the destination and {values.dtype} for the source."
            )
        where = _indices_arg(indices, input.array.shape, "index_put")
        return input, where, _values_arg(values, input.array, where), accumulate

    def forward(ctx: Any, x: Tensor, where: Index, values: Tensor, accumulate: bool) -> Tensor:
        ctx.where, ctx.accumulate, ctx.values_shape = where, accumulate, values.array.shape
        y = x.array.copy()
        _put(y, where, values, accumulate)
        return wrap(y)

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        dx = dvalues = None
        if ctx.needs[0]:
            dx = dy if ctx.accumulate else index_put(dy, ctx.where, dy.new_zeros(()))
        if ctx.needs[2]:
            dvalues = index(dy, ctx.where).sum_to_size(ctx.values_shape)
        return dx, None, dvalues


def _put(y: Array, where: Index, values: Tensor, accumulate: bool) -> None:
    if accumulate:
        read = np.broadcast_to(values.array, _result_shape(y.shape, where))
        np.add(y, scatter_index(read, where, y.shape), out=y)
    else:
        y[numpy_key(where)] = values.array


index_put_ = inplace_form(index_put, _put)


def _basic_view(x: Tensor, basic: tuple[Any, ...]) -> Tensor:
    return x if all(isinstance(i, slice) and i == slice(None) for i in basic) else x[basic]


def _simple(x: Tensor, key: Any) -> Array | None:
    """The array of a key that is one tensor of rows or one mask, where nothing is recorded: the way of data sets."""
    if not isinstance(key, Tensor) or (is_grad_enabled() and x.requires_grad):
        return None
    k: Array = key.array
    if k.ndim == 0 or x.array.ndim == 0:
        return None
    fits = k.dtype == np.int64 or (k.dtype == np.bool_ and k.shape == x.array.shape[: k.ndim])
    return k if fits else None


def getitem(x: Tensor, key: Any) -> Tensor:
    """x[key] for a key that holds tensors, arrays, lists or bools."""
    k = _simple(x, key)
    if k is not None:
        try:
            return wrap(x.array[k] if k.dtype == np.bool_ else np.take(x.array, k, axis=0))
        except IndexError:
            check_range(k, x.array.shape[0], 0, "index", negative=True)
            raise
    basic, where = plan(x.array.shape, key)
    view = _basic_view(x, basic)
    return view if all(i is None for i in where) else index(view, where)


def _repeats(a: Array) -> bool:
    """Whether several elements are one place in memory: an expanded tensor."""
    return a.size > 0 and any(stride == 0 and n > 1 for stride, n in zip(a.strides, a.shape, strict=True))


def _put_expanded(x: Tensor, where: Index, value: Tensor) -> None:
    """Writes into an expanded tensor, as PyTorch does with a warning; recorded, it raises: there is no gradient."""
    if not x.array.flags.writeable or (is_grad_enabled() and (x.requires_grad or value.requires_grad)):
        x._check_inplace("setitem")
    target, _, values, _ = index_put.check(x, where, value)
    warnings.warn(
        f"setitem: several elements of the expanded tensor {tuple(x.shape)} are one place in memory: the last value "
        "written stays; clone() it first",
        UserWarning,
        stacklevel=3,
    )
    _put(target.array, where, values, False)
    x._bump_version()


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """x[key] = value for a key that holds tensors, arrays, lists or bools; a number is converted to the type of x."""
    if isinstance(value, (bool, int, float)) and not _repeats(x.array):
        k = _simple(x, key)
        if k is not None and k.dtype == np.bool_:
            x._check_inplace("setitem")
            x.array[k] = value
            x._bump_version()
            return
    basic, where = plan(x.array.shape, key)
    if all(i is None for i in where):
        x[basic] = value
        return
    if isinstance(value, (bool, int, float, np.generic)):
        value = wrap(np.array(value, x.array.dtype))
    elif not isinstance(value, Tensor):
        raise TypeError(f"indexing: can't assign a {type(value).__name__} to a tensor of {x.dtype}")
    view = _basic_view(x, basic)
    if _repeats(view.array):
        _put_expanded(view, where, value)
    else:
        view._check_inplace("setitem")
        index_put_(view, where, value)
