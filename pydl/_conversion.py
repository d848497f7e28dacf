# SPDX-License-Identifier: BSD-3-Clause
"""Tensors to and from other element types, memory orders, NumPy, Python and DLPack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pydl import ops
from pydl._core import dtypes, tape
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase, is_grad_enabled
from pydl._data import as_array, new_shape

if TYPE_CHECKING:
    from pydl.tensor import Tensor

__all__ = ["Conversions"]

Array = np.ndarray[Any, Any]
_TYPE_NAMES = {
    "FloatTensor": dtypes.float32, "DoubleTensor": dtypes.float64, "LongTensor": dtypes.int64,
    "IntTensor": dtypes.int32, "ShortTensor": dtypes.int16, "CharTensor": dtypes.int8, "ByteTensor": dtypes.uint8,
    "BoolTensor": dtypes.bool,
}  # fmt: skip


def _cpu_only(what: str) -> Any:
    raise RuntimeError(f"pydl is CPU only: {what} is not possible")


def check_layout(ndim: int, memory_format: Any) -> bool:
    """Whether channels_last is asked for; raises for what is no format, or not for that many dimensions."""
    if memory_format in (None, dtypes.contiguous_format, dtypes.preserve_format):
        return False
    if memory_format is dtypes.channels_last_3d:
        raise NotImplementedError("channels_last_3d is not covered; there are contiguous_format and channels_last")
    if memory_format is not dtypes.channels_last:
        raise TypeError(f"memory_format must be a pydl.memory_format, not {memory_format!r}")
    if ndim != 4:
        raise RuntimeError("required rank 4 tensor to use channels_last format")
    return True


class Conversions:
    """Methods that change how the elements are stored. `Tensor` inherits them."""

    __slots__ = ()

    # --- NumPy, Python, DLPack --------------------------------------------------------------------------------------

    def numpy(self: Any, *, force: Any = False) -> Array:
        """A NumPy array on the same memory; `force` detaches first. Changes through it are not seen by backward.

        Errors: RuntimeError for a tensor that requires grad. Source: torch.Tensor.numpy.

        Example:
            >>> import pydl
            >>> pydl.ones(2).numpy()
            array([1., 1.], dtype=float32)
        """
        if self.requires_grad and not force and is_grad_enabled():
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        a: Array = self.array.view()
        return a

    def __array__(self: Any, dtype: Any = None, copy: Any = None) -> Array:
        a: Array = self.numpy()
        wanted = a.dtype if dtype is None else np.dtype(dtype)
        if copy is False and wanted != a.dtype:
            raise ValueError(f"__array__: a copy is needed to convert {a.dtype} to {wanted}, but copy=False was given")
        return a.astype(wanted, copy=bool(copy))

    def __array_wrap__(self: Any, array: Array, context: Any = None, return_scalar: Any = False) -> Any:
        """NumPy's functions of a tensor give tensors, where there is such an element type."""
        return array if array.dtype.kind not in "fiub" else tape.wrap(array)

    def __dlpack__(self: Any, **options: Any) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        if options.get("stream") is not None:
            raise BufferError("stream must be None: pydl is CPU only")
        return self.array.__dlpack__(**{key: value for key, value in options.items() if value is not None})

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        return (1, 0)

    def item(self: Any) -> Any:
        """The only element as a Python number. Errors: RuntimeError unless there is one. Source: torch.Tensor.item."""
        if self.array.size != 1:
            raise ShapeError(f"a Tensor with {self.array.size} elements cannot be converted to Scalar")
        return self.array.item()

    def tolist(self: Any) -> Any:
        """The elements as nested lists of Python numbers, or one number. Source: torch.Tensor.tolist."""
        return self.array.tolist()

    # --- element types ----------------------------------------------------------------------------------------------

    def to(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        """The tensor in another element type, memory order, or "on" the CPU; itself if nothing changes.

        to(dtype), to(device), to(device, dtype), to(other); non_blocking has no effect; copy=True always copies.
        Gradient: dx = dy in x's type. Errors: RuntimeError for another device. Source: torch.Tensor.to.

        Example:
            >>> import pydl
            >>> pydl.tensor([1.7, -1.7]).to(pydl.int64)
            tensor([ 1, -1])
        """
        np_dtype, copy, memory_format = _to_arguments(args, kwargs)
        y = self
        if np_dtype is not None and np_dtype != self.array.dtype:
            y = ops.cast(self, dtypes.from_np(np_dtype))
        if memory_format is not None:
            y = y.contiguous(memory_format=memory_format) if memory_format is not dtypes.preserve_format else y
        return y.clone() if copy and y is self else y

    def type(self: Any, dtype: Any = None, non_blocking: Any = False) -> Any:
        """The name of the type, or the tensor in another one. Source: torch.Tensor.type."""
        if dtype is None:
            return "pydl." + next(name for name, d in _TYPE_NAMES.items() if d is self.dtype)
        if isinstance(dtype, str):
            name = dtype.removeprefix("torch.").removeprefix("pydl.")
            if name not in _TYPE_NAMES:
                raise ValueError(f"type: invalid type: {dtype!r}")
            dtype = _TYPE_NAMES[name]
        return self.to(dtype)

    def type_as(self: Any, other: TensorBase) -> Tensor:
        """The tensor in the type of `other`. Source: torch.Tensor.type_as."""
        return self.to(other.dtype)

    def float(self: Any, memory_format: Any = None) -> Tensor:
        """As float32."""
        return self.to(dtypes.float32, memory_format=memory_format)

    def double(self: Any, memory_format: Any = None) -> Tensor:
        """As float64."""
        return self.to(dtypes.float64, memory_format=memory_format)

    def long(self: Any, memory_format: Any = None) -> Tensor:
        """As int64."""
        return self.to(dtypes.int64, memory_format=memory_format)

    def int(self: Any, memory_format: Any = None) -> Tensor:
        """As int32."""
        return self.to(dtypes.int32, memory_format=memory_format)

    def short(self: Any, memory_format: Any = None) -> Tensor:
        """As int16."""
        return self.to(dtypes.int16, memory_format=memory_format)

    def char(self: Any, memory_format: Any = None) -> Tensor:
        """As int8."""
        return self.to(dtypes.int8, memory_format=memory_format)

    def byte(self: Any, memory_format: Any = None) -> Tensor:
        """As uint8."""
        return self.to(dtypes.uint8, memory_format=memory_format)

    def bool(self: Any, memory_format: Any = None) -> Tensor:
        """As bool: True where not zero."""
        return self.to(dtypes.bool, memory_format=memory_format)

    def half(self: Any, memory_format: Any = None) -> Any:
        """Raises: there is no half precision."""
        return dtypes.as_np(np.float16)

    def bfloat16(self: Any, memory_format: Any = None) -> Any:
        """Raises: there is no half precision."""
        raise NotImplementedError("bfloat16: pydl stores no half precision; use float32 or float64")

    def is_floating_point(self: Any) -> Any:
        """Whether the type is float32 or float64."""
        return self.dtype.is_floating_point

    def is_complex(self: Any) -> Any:
        """False: there are no complex types."""
        return False

    def is_signed(self: Any) -> Any:
        """Whether the type holds negative numbers."""
        return self.dtype.is_signed

    def is_inference(self: Any) -> Any:
        """False: inference mode is no_grad here."""
        return False

    # --- memory -----------------------------------------------------------------------------------------------------

    def contiguous(self: Any, memory_format: Any = dtypes.contiguous_format) -> Tensor:
        """The tensor with its elements in C order (or N, H, W, C for channels_last); itself if they are.

        Gradient: dx = dy. Errors: RuntimeError for channels_last without 4 dimensions. Source: torch.Tensor.contiguous.
        """
        if memory_format is dtypes.preserve_format:
            raise RuntimeError("contiguous: preserve memory format is unsupported by the contiguous operator")
        if not check_layout(self.ndim, memory_format):
            return ops.contiguous(self)
        if self.is_contiguous(memory_format):
            return self
        return ops.contiguous(self.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def is_contiguous(self: Any, memory_format: Any = dtypes.contiguous_format) -> Any:
        """Whether the elements lie in C order (or N, H, W, C). Source: torch.Tensor.is_contiguous."""
        a: Array = self.array
        if check_layout(self.ndim, memory_format):
            a = a.transpose(0, 2, 3, 1)
        return a.flags.c_contiguous

    def storage_offset(self: Any) -> Any:
        """How many elements after the start of its memory the tensor begins. Source: torch.Tensor.storage_offset."""
        return 0 if self._base is None else (self.data_ptr() - self._base.data_ptr()) // self.array.itemsize

    def cpu(self: Any, memory_format: Any = None) -> Tensor:
        """Itself."""
        return self

    def cuda(self: Any, device: Any = None, non_blocking: Any = False, memory_format: Any = None) -> Any:
        """Raises RuntimeError: pydl is CPU only."""
        _cpu_only("cuda()")

    def pin_memory(self: Any) -> Any:
        """Itself: there is no other device to copy to."""
        return self

    def share_memory_(self: Any) -> Any:
        """Raises: tensors are not shared between processes."""
        raise NotImplementedError("share_memory_: tensors are not shared between processes")

    device = property(lambda self: dtypes.CPU, doc="Always the CPU.")
    layout = property(lambda self: dtypes.strided, doc="Always strided.")
    is_cpu = property(lambda self: True, doc="True.")
    is_cuda = property(lambda self: False, doc="False: pydl is CPU only.")
    is_mps = property(lambda self: False, doc="False: pydl is CPU only.")
    is_meta = property(lambda self: False, doc="False.")
    is_sparse = property(lambda self: False, doc="False.")
    is_quantized = property(lambda self: False, doc="False.")

    # --- new tensors of this type -----------------------------------------------------------------------------------

    def _new(self: Any, size: tuple[Any, ...], name: str, dtype: Any, device: Any) -> Tensor:
        if device is not None:
            dtypes.device(device)
        return tape.empty(new_shape(size, name), self.array.dtype if dtype is None else dtypes.as_np(dtype))

    def new_empty(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """An uninitialised tensor, of this type unless told. Source: torch.Tensor.new_empty."""
        return self._new(size, "new_empty", dtype, device).requires_grad_(requires_grad)

    def new_zeros(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """Zeros, of this type unless told. Source: torch.Tensor.new_zeros."""
        return self._new(size, "new_zeros", dtype, device).fill_(0).requires_grad_(requires_grad)

    def new_ones(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """Ones, of this type unless told. Source: torch.Tensor.new_ones."""
        return self._new(size, "new_ones", dtype, device).fill_(1).requires_grad_(requires_grad)

    def new_full(
        self: Any, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """One number everywhere, in this type unless told. Source: torch.Tensor.new_full."""
        return self._new((size,), "new_full", dtype, device).fill_(fill_value).requires_grad_(requires_grad)

    def new_tensor(
        self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """A tensor with a copy of the data, in this type unless told. Source: torch.Tensor.new_tensor."""
        if device is not None:
            dtypes.device(device)
        np_dtype = self.array.dtype if dtype is None else dtypes.as_np(dtype)
        return tape.wrap(np.array(as_array(data, np_dtype), np_dtype)).requires_grad_(requires_grad)


def _to_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
    """(numpy dtype or None, copy, memory_format) of the arguments of `to`."""
    names = {"device", "dtype", "other", "non_blocking", "copy", "memory_format"}
    if unknown := kwargs.keys() - names:
        raise TypeError(f"to: got an unexpected keyword argument {min(unknown)!r}")
    given = dict(kwargs)
    rest = list(args)
    if rest and (rest[0] is None or isinstance(rest[0], (str, dtypes.device))):
        given["device"] = rest.pop(0)
    elif rest and isinstance(rest[0], TensorBase):
        given["other"] = rest.pop(0)
    if rest and not isinstance(rest[0], bool) and "other" not in given:
        given["dtype"] = rest.pop(0)
    for name, value in zip(("non_blocking", "copy"), rest, strict=False):
        given[name] = value
    if given.get("device") is not None:
        dtypes.device(given["device"])
    wanted = given.get("dtype") if given.get("other") is None else given["other"].dtype
    return None if wanted is None else dtypes.as_np(wanted), given.get("copy", False), given.get("memory_format")
