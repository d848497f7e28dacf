# SPDX-License-Identifier: BSD-3-Clause
"""New tensors: from data, on the memory of other libraries, and filled with one number."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from pydl._conversion import check_layout
from pydl._core import dtypes, tape
from pydl._core.tape import TensorBase
from pydl._data import as_array, new_shape
from pydl.tensor import Tensor

__all__ = [
    "as_tensor", "asarray", "empty", "empty_like", "from_dlpack", "from_numpy", "frombuffer", "full", "full_like",
    "ones", "ones_like", "scalar_tensor", "tensor", "zeros", "zeros_like",
]  # fmt: skip

DType = Any
Array = np.ndarray[Any, Any]


def _np_dtype(dtype: DType | None) -> np.dtype[Any] | None:
    return None if dtype is None else dtypes.as_np(dtype)


def _check_place(device: Any, layout: Any = None) -> None:
    if device is not None:
        dtypes.device(device)
    if layout not in (None, dtypes.strided):
        raise NotImplementedError(f"layout: {layout!r} is not covered; there is strided")


# --- from data ----------------------------------------------------------------------------------------------------


def tensor(
    data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A leaf with a copy of the data: numbers, nested lists, NumPy arrays.

    Arrays keep their type; Python's floats give the default type, ints int64, bools bool.
    Errors: ValueError for ragged lists; TypeError, RuntimeError for what holds no numbers; NotImplementedError for half
    precision and complex numbers. Source: torch.tensor.

    Example:
        >>> import pydl
        >>> pydl.tensor([[1., 2.], [3., 4.]], dtype=pydl.float64)
        tensor([[1., 2.],
                [3., 4.]], dtype=pydl.float64)
    """
    _check_place(device)
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than pydl.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
    source = as_array(data, _np_dtype(dtype))
    made = tape.empty(source.shape, dtypes.from_np(source.dtype).np)
    made.array[...] = source
    return made.requires_grad_(requires_grad)


def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
    """The data as a tensor: itself or on the same memory where no conversion is needed, else as `tensor`.

    Source: torch.as_tensor.

    Example:
        >>> import numpy as np, pydl
        >>> a = np.zeros(2); pydl.as_tensor(a)[0] = 5; a
        array([5., 0.])
    """
    _check_place(device)
    np_dtype = _np_dtype(dtype)
    if isinstance(data, Tensor):
        return data if np_dtype is None or np_dtype == data.array.dtype else data.to(dtype)
    if isinstance(data, np.ndarray) and (np_dtype is None or np_dtype == data.dtype):
        return from_numpy(data)
    return tensor(data, dtype=dtype)


def asarray(
    obj: Any, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor from a tensor, array, DLPack or buffer object, number or list; `copy`: always, never, if needed.

    Errors: ValueError if a copy is needed and copy=False. Source: torch.asarray.

    Example:
        >>> import pydl
        >>> pydl.asarray([1, 2])
        tensor([1, 2])
    """
    _check_place(device)
    shares = isinstance(obj, (Tensor, np.ndarray)) or hasattr(obj, "__dlpack__") or _has_buffer(obj)
    if not shares:
        if copy is False:
            raise ValueError("asarray: a number or list cannot be shared, and copy=False was given")
        return tensor(obj, dtype=dtype, requires_grad=requires_grad)
    if isinstance(obj, Tensor):
        made: Any = obj
    elif isinstance(obj, np.ndarray):
        made = from_numpy(obj)
    else:
        made = from_dlpack(obj) if hasattr(obj, "__dlpack__") else _from_bytes(obj, dtype)
    np_dtype = _np_dtype(dtype)
    converts = np_dtype is not None and np_dtype != made.array.dtype
    if converts and copy is False:
        raise ValueError(f"asarray: {made.dtype} must be copied to become {dtype}, and copy=False was given")
    made = made.to(dtype) if converts else made.clone() if copy else made
    return made.detach().requires_grad_(True) if requires_grad and not made.requires_grad else made


def _from_bytes(buffer: Any, dtype: DType | None) -> Tensor:
    return frombuffer(buffer, dtype=dtypes.get_default_dtype() if dtype is None else dtype)


def _has_buffer(obj: Any) -> bool:
    return isinstance(obj, (bytes, bytearray, memoryview))


def from_numpy(ndarray: Array, /) -> Tensor:
    """A tensor on the memory of a NumPy array, with any strides; of a read-only array it cannot be changed.

    Arrays in another byte order or at odd addresses are copied.
    Errors: TypeError for what is no array or has no such element type. Source: torch.from_numpy.

    Example:
        >>> import numpy as np, pydl
        >>> a = np.arange(3.0); t = pydl.from_numpy(a); a[0] = 7; t
        tensor([7., 1., 2.], dtype=pydl.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected np.ndarray (got {type(ndarray).__name__})")
    made: Tensor = tape.wrap(ndarray)
    return made


def frombuffer(
    buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor on the memory of an object with a buffer (bytes, bytearray, memoryview, …).

    Errors: ValueError if the buffer does not hold the elements. Source: torch.frombuffer.

    Example:
        >>> import pydl
        >>> pydl.frombuffer(bytearray([1, 0, 2, 0]), dtype=pydl.int16)
        tensor([1, 2], dtype=pydl.int16)
    """
    array = np.frombuffer(buffer, dtypes.as_np(dtype), count, offset)
    return from_numpy(array).requires_grad_(requires_grad)


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor on the memory of another library's tensor. Errors: BufferError if it is not on the CPU.

    Source: torch.from_dlpack.

    Example:
        >>> import numpy as np, pydl
        >>> pydl.from_dlpack(np.ones(2))
        tensor([1., 1.], dtype=pydl.float64)
    """
    return from_numpy(np.from_dlpack(ext_tensor))


def scalar_tensor(s: float, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor of the default type with the number s.

    Errors: TypeError for what is no number. Source: torch.scalar_tensor.

    Example:
        >>> import pydl
        >>> pydl.scalar_tensor(3)
        tensor(3.)
    """
    return full((), s, dtype=dtype or dtypes.get_default_dtype(), device=device, requires_grad=requires_grad)


# --- filled with one number ---------------------------------------------------------------------------------------


def empty(
    *size: Any,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = dtypes.contiguous_format,
) -> Tensor:
    """An uninitialised tensor. Errors: RuntimeError for negative sizes. Source: torch.empty.

    Example:
        >>> import pydl
        >>> pydl.empty(2, 3).shape
        pydl.Size([2, 3])
    """
    _check_place(device, layout)
    np_dtype = dtypes.default_np() if dtype is None else dtypes.as_np(dtype)
    made: Tensor = _arranged(new_shape(size, "empty"), np_dtype, memory_format)
    return made.requires_grad_(requires_grad) if requires_grad else made


def _arranged(shape: tuple[int, ...], np_dtype: np.dtype[Any], memory_format: Any) -> Any:
    """An uninitialised tensor in C order, or in N, H, W, C order."""
    if not check_layout(len(shape), memory_format):
        return tape.empty(shape, np_dtype)
    n, c, h, w = shape
    return tape.empty((n, h, w, c), np_dtype).permute(0, 3, 1, 2).detach()


def zeros(
    *size: Any,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Zeros of that shape. Errors: RuntimeError for negative sizes. Source: torch.zeros.

    Example:
        >>> import pydl
        >>> pydl.zeros(2, dtype=pydl.int64)
        tensor([0, 0])
    """
    made = empty(*size, dtype=dtype, layout=layout, device=device)
    made.array.fill(0)
    return made.requires_grad_(requires_grad) if requires_grad else made


def ones(
    *size: Any,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Ones of that shape. Errors: RuntimeError for negative sizes. Source: torch.ones.

    Example:
        >>> import pydl
        >>> pydl.ones(2)
        tensor([1., 1.])
    """
    made = empty(*size, dtype=dtype, layout=layout, device=device)
    made.array.fill(1)
    return made.requires_grad_(requires_grad) if requires_grad else made


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """One number everywhere; without `dtype` its Python type decides: bool, int64 or the default type.

    Errors: RuntimeError for negative sizes. Source: torch.full.

    Example:
        >>> import pydl
        >>> pydl.full((2,), 7)
        tensor([7, 7])
    """
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if not isinstance(fill_value, (bool, int, float, np.generic)):
        raise TypeError(f"full: fill_value must be a number, not {type(fill_value).__name__}")
    wanted = dtype if dtype is not None else dtypes.from_np(dtypes.scalar_np(type(fill_value)))
    made = empty(size, dtype=wanted, layout=layout, device=device)
    made.array.fill(fill_value)
    return made.requires_grad_(requires_grad)


def _like(op: str, input: Any, dtype: DType | None, layout: Any, device: Any, memory_format: Any) -> Any:
    """An uninitialised tensor with the shape and, unless told, the type and order of another."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: input must be a Tensor, not {type(input).__name__}")
    _check_place(device, layout)
    np_dtype = input.array.dtype if dtype is None else dtypes.as_np(dtype)
    if memory_format is dtypes.preserve_format:
        a = input.array
        in_order = a.ndim == 4 and not a.flags.c_contiguous and a.transpose(0, 2, 3, 1).flags.c_contiguous
        memory_format = dtypes.channels_last if in_order else dtypes.contiguous_format
    return _arranged(tuple(input.array.shape), np_dtype, memory_format)


def empty_like(
    input: TensorBase,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = dtypes.preserve_format,
) -> Tensor:
    """An uninitialised tensor with the shape and type of `input`.

    Errors: TypeError unless input is a Tensor. Source: torch.empty_like.

    Example:
        >>> import pydl
        >>> pydl.empty_like(pydl.ones(2, 3)).shape
        pydl.Size([2, 3])
    """
    made: Tensor = _like("empty_like", input, dtype, layout, device, memory_format)
    return made.requires_grad_(requires_grad)


def zeros_like(
    input: TensorBase,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = dtypes.preserve_format,
) -> Tensor:
    """Zeros with the shape and type of `input`. Errors: TypeError unless input is a Tensor. Source: torch.zeros_like.

    Example:
        >>> import pydl
        >>> pydl.zeros_like(pydl.ones(2))
        tensor([0., 0.])
    """
    made: Tensor = _like("zeros_like", input, dtype, layout, device, memory_format)
    made.array.fill(0)
    return made.requires_grad_(requires_grad)


def ones_like(
    input: TensorBase,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = dtypes.preserve_format,
) -> Tensor:
    """Ones with the shape and type of `input`. Errors: TypeError unless input is a Tensor. Source: torch.ones_like.

    Example:
        >>> import pydl
        >>> pydl.ones_like(pydl.zeros(2))
        tensor([1., 1.])
    """
    made: Tensor = _like("ones_like", input, dtype, layout, device, memory_format)
    made.array.fill(1)
    return made.requires_grad_(requires_grad)


def full_like(
    input: TensorBase,
    fill_value: Any,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = dtypes.preserve_format,
) -> Tensor:
    """One number everywhere, with the shape and type of `input`.

    Errors: TypeError unless input is a Tensor. Source: torch.full_like.

    Example:
        >>> import pydl
        >>> pydl.full_like(pydl.ones(2), 7)
        tensor([7., 7.])
    """
    made: Tensor = _like("full_like", input, dtype, layout, device, memory_format)
    made.array.fill(fill_value.item() if isinstance(fill_value, Tensor) else fill_value)
    return made.requires_grad_(requires_grad)
