# SPDX-License-Identifier: BSD-3-Clause
"""Element types, PyTorch's promotion by categories, and the default type.

The module defines names that Python has too (`bool`, `int`, `float`), because users write `pydl.int`; Python's own are
reached through `builtins` here.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from pydl._core.attributes import (  # fmt: skip
    CPU,
    Size,
    channels_last,
    channels_last_3d,
    contiguous_format,
    device,
    layout,
    memory_format,
    preserve_format,
    strided,
)

__all__ = [
    "CPU", "Size", "bool", "can_cast", "channels_last", "channels_last_3d", "contiguous_format", "device",
    "double", "dtype", "finfo", "float", "float32", "float64", "get_default_dtype", "iinfo", "int", "int8",
    "int16", "int32", "int64", "layout", "long", "memory_format", "preserve_format", "promote_types",
    "result_type", "set_default_dtype", "short", "strided", "uint8",
]  # fmt: skip


class dtype:
    """An element type: one of eight singletons, compared by identity and never equal to a NumPy type.

    Attributes: `name`, `np` (the `numpy.dtype`), `itemsize` in bytes, `is_floating_point`, `is_complex`, `is_signed`.

    Example:
        >>> from pydl._core import dtypes
        >>> dtypes.float64, dtypes.float64.itemsize, dtypes.float64.is_floating_point
        (pydl.float64, 8, True)
    """

    __slots__ = ("is_complex", "is_floating_point", "is_signed", "itemsize", "name", "np")

    name: str
    np: np.dtype[Any]
    itemsize: builtins.int
    is_floating_point: builtins.bool
    is_complex: builtins.bool
    is_signed: builtins.bool

    def __new__(cls, name: str) -> dtype:
        """The singleton of that name; there are no others."""
        try:
            return _BY_NAME[name]
        except (KeyError, TypeError):
            raise TypeError(f"dtype: no element type {name!r}; there are {', '.join(_BY_NAME)}") from None

    def __repr__(self) -> str:
        return f"pydl.{self.name}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return dtype, (self.name,)

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: dict[builtins.int, Any]) -> dtype:
        return self

    def to_real(self) -> dtype:
        """The real type of the same precision: the type itself, as no complex types exist."""
        return self


_BY_NAME: dict[str, dtype] = {}
_BY_KIND_AND_SIZE: dict[tuple[str, builtins.int], dtype] = {}


def _define(name: str) -> dtype:
    new = object.__new__(dtype)
    new.name, new.np = name, np.dtype(name)
    new.itemsize = new.np.itemsize
    new.is_floating_point, new.is_complex = new.np.kind == "f", False
    new.is_signed = new.np.kind in "if"
    _BY_NAME[name] = _BY_KIND_AND_SIZE[new.np.kind, new.itemsize] = new
    return new


float32 = _define("float32")
float64 = _define("float64")
int64 = _define("int64")
int32 = _define("int32")
int16 = _define("int16")
int8 = _define("int8")
uint8 = _define("uint8")
bool = _define("bool")
float, double, long, int, short = float32, float64, int64, int32, int16

_PYTHON_TYPES: dict[type, dtype] = {builtins.float: float64, builtins.int: int64, builtins.bool: bool}
# Element types of PyTorch that have no storage here: half precision and complex numbers.
_NO_STORAGE = {("f", 2): "float16", ("V", 2): "bfloat16", ("c", 8): "complex64", ("c", 16): "complex128"}


def from_np(np_dtype: np.dtype[Any]) -> dtype:
    """The element type of a NumPy dtype; the byte order does not matter.

    Errors: NotImplementedError for half precision and complex numbers; TypeError for all else that PyTorch does not
    take either (unsigned above 8 bits, longdouble, objects, strings, records, dates).

    Example:
        >>> import numpy as np
        >>> from pydl._core import dtypes
        >>> dtypes.from_np(np.dtype(">i4"))
        pydl.int32
    """
    key = np_dtype.kind, np_dtype.itemsize
    found = _BY_KIND_AND_SIZE.get(key)
    if found is not None:
        return found
    if key in _NO_STORAGE and (np_dtype.kind != "V" or np_dtype.name == "bfloat16"):
        raise NotImplementedError(
            f"{_NO_STORAGE[key]}: pydl stores no half precision and no complex numbers; convert to float32 or float64"
        )
    raise TypeError(f"can't convert an array of type {np_dtype}; the supported types are {', '.join(_BY_NAME)}")


def as_np(dtype_like: object) -> np.dtype[Any]:
    """The `numpy.dtype` that is meant by a pydl dtype, a NumPy dtype or scalar type, or Python's float, int or bool.

    Python's types mean what they mean in PyTorch and NumPy: float64, int64 and bool.

    Errors: NotImplementedError for half precision and complex; TypeError for what is no element type.

    Example:
        >>> import numpy as np
        >>> from pydl._core import dtypes
        >>> dtypes.as_np(dtypes.float32), dtypes.as_np(np.int8), dtypes.as_np(np.dtype(">f8"))
        (dtype('float32'), dtype('int8'), dtype('float64'))
    """
    if isinstance(dtype_like, dtype):
        return dtype_like.np
    if isinstance(dtype_like, np.dtype):
        return from_np(dtype_like).np
    if isinstance(dtype_like, type):
        if dtype_like in _PYTHON_TYPES:
            return _PYTHON_TYPES[dtype_like].np
        if issubclass(dtype_like, np.generic):
            return from_np(np.dtype(dtype_like)).np
        if dtype_like is complex:
            return from_np(np.dtype(np.complex128)).np
    raise TypeError(f"dtype must be a pydl.dtype (or a NumPy one), not {dtype_like!r}")


# --- the default type ---------------------------------------------------------------------------------------------

_default: list[np.dtype[Any]] = [float32.np]


def get_default_dtype() -> dtype:
    """The type of new floating-point tensors made from Python numbers: float32 until it is set.

    Source: torch.get_default_dtype.

    Example:
        >>> import pydl
        >>> pydl.get_default_dtype()
        pydl.float32
    """
    return from_np(_default[0])


def default_np() -> np.dtype[Any]:
    """The default type as a `numpy.dtype`."""
    return _default[0]


def set_default_dtype(d: dtype, /) -> None:
    """Set the type of new floating-point tensors made from Python numbers: float32 or float64.

    Errors: TypeError if `d` is no floating-point type. Source: torch.set_default_dtype.

    Example:
        >>> import pydl
        >>> pydl.set_default_dtype(pydl.float64); pydl.tensor([0.5]).dtype
        pydl.float64
        >>> pydl.set_default_dtype(pydl.float32)
    """
    np_dtype = as_np(d)
    if np_dtype.kind != "f":
        raise TypeError(f"set_default_dtype: only floating-point types are supported as the default type, not {d}")
    _default[0] = np_dtype
    promote_binary.cache_clear()


# --- promotion ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=128)
def promote_np(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The smallest type of the higher category that holds both: a floating-point type wins over any integer."""
    if a == b:
        return a
    a_floats, b_floats = a.kind == "f", b.kind == "f"
    if a_floats != b_floats:
        return a if a_floats else b
    return np.promote_types(a, b)


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The type that an operation on tensors of these two types gives.

    Unlike NumPy's rule, a floating-point type is kept as it is beside integers of any size.

    Errors: TypeError for what is no element type. Source: torch.promote_types.

    Example:
        >>> import pydl
        >>> pydl.promote_types(pydl.int64, pydl.float32), pydl.promote_types(pydl.uint8, pydl.int8)
        (pydl.float32, pydl.int16)
    """
    return from_np(promote_np(as_np(type1), as_np(type2)))


def _combine(higher: np.dtype[Any] | None, lower: np.dtype[Any] | None) -> np.dtype[Any] | None:
    """Operands of lower priority change the result only if their category (bool < int < float) is higher."""
    if higher is None or lower is None:
        return lower if higher is None else higher
    if higher.kind != "f" and (higher.kind == "b" or lower.kind == "f"):
        return promote_np(higher, lower)
    return higher


def scalar_np(np_or_type: np.dtype[Any] | type) -> np.dtype[Any]:
    """The type that a Python or NumPy number stands for beside tensors: bool, int64 or the default type."""
    kind = np.dtype(np_or_type).kind
    if kind == "f":
        return _default[0]
    if kind in "iu":
        return int64.np
    if kind == "b":
        return bool.np
    return as_np(np_or_type)  # raises: complex numbers and what is no number


def promote(operands: list[tuple[np.dtype[Any] | type, builtins.int, builtins.bool]]) -> np.dtype[Any]:
    """The result type of operands (type, number of dimensions, whether it is a Python number).

    Tensors with dimensions come before 0-d tensors, and these before Python numbers: the later ones change the result
    only by a higher category.
    """
    by_priority: list[np.dtype[Any] | None] = [None, None, None]
    for np_or_type, ndim, is_scalar in operands:
        priority = 2 if is_scalar else 0 if ndim else 1
        np_dtype = scalar_np(np_or_type) if is_scalar else as_np(np_or_type)
        seen = by_priority[priority]
        by_priority[priority] = np_dtype if seen is None else promote_np(seen, np_dtype)
    with_dims, zero_dim, numbers = by_priority
    result = _combine(with_dims, _combine(zero_dim, numbers))
    if result is None:
        raise ValueError("result_type: needs at least one operand")
    return result


@lru_cache(maxsize=1024)
def promote_binary(
    np_a: np.dtype[Any] | type,
    ndim_a: builtins.int,
    scalar_a: builtins.bool,
    np_b: np.dtype[Any] | type,
    ndim_b: builtins.int,
    scalar_b: builtins.bool,
    int_to_float: builtins.bool,
) -> np.dtype[Any]:
    """The result type of two operands; `int_to_float`: integers and bools become the default type (division)."""
    result = promote([(np_a, ndim_a, scalar_a), (np_b, ndim_b, scalar_b)])
    return _default[0] if int_to_float and result.kind != "f" else result


def result_type(*operands: Any) -> dtype:
    """The type that an operation on these tensors and numbers gives.

    Errors: TypeError for what is neither a tensor nor a number. Source: torch.result_type (which takes exactly two).

    Example:
        >>> import pydl
        >>> pydl.result_type(pydl.tensor([1, 2], dtype=pydl.uint8), 1.5), pydl.result_type(pydl.tensor([True]), 2)
        (pydl.float32, pydl.int64)
    """
    described: list[tuple[np.dtype[Any] | type, builtins.int, builtins.bool]] = []
    for operand in operands:
        if isinstance(operand, (builtins.bool, builtins.int, builtins.float, complex, np.generic)):
            described.append((np.dtype(type(operand)), 0, True))
        elif isinstance(getattr(operand, "dtype", None), dtype):
            described.append((operand.dtype.np, operand.ndim, False))
        else:
            raise TypeError(f"result_type: takes tensors and numbers, not {type(operand).__name__}")
    return from_np(promote(described))


def can_cast(from_: dtype, to: dtype) -> builtins.bool:
    """Whether a result of type `from_` may be written in place into a tensor of type `to`.

    It may not go down a category: no float into an integer or bool, no integer into bool.

    Errors: TypeError for what is no element type. Source: torch.can_cast.

    Example:
        >>> import pydl
        >>> pydl.can_cast(pydl.float64, pydl.float32), pydl.can_cast(pydl.float32, pydl.int64)
        (True, False)
    """
    source, target = as_np(from_), as_np(to)
    if source.kind == "f":
        return target.kind == "f"
    return source.kind == "b" or target.kind != "b"


# --- numerical limits ---------------------------------------------------------------------------------------------


class finfo:
    """Limits of a floating-point type: bits, eps, max, min, tiny, smallest_normal, resolution.

    Errors: TypeError for an integer type. Source: torch.finfo.

    Example:
        >>> import pydl
        >>> pydl.finfo(pydl.float32).eps
        1.1920928955078125e-07
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: dtype | None = None) -> None:
        np_dtype = _default[0] if type is None else as_np(type)
        if np_dtype.kind != "f":
            raise TypeError(f"finfo: requires a floating-point type, not {np_dtype}; use iinfo")
        info = np.finfo(np_dtype)
        self.dtype, self.bits = np_dtype.name, builtins.int(info.bits)
        self.eps, self.resolution = builtins.float(info.eps), builtins.float(info.resolution)
        self.max, self.min = builtins.float(info.max), builtins.float(info.min)
        self.smallest_normal = self.tiny = builtins.float(info.smallest_normal)

    def __repr__(self) -> str:
        fields = ", ".join(f"{k}={getattr(self, k):g}" for k in ("resolution", "min", "max", "eps", "smallest_normal"))
        return f"finfo({fields}, tiny={self.tiny:g}, dtype={self.dtype})"


class iinfo:
    """Limits of an integer type: bits, max, min.

    Errors: TypeError for a floating-point type or bool. Source: torch.iinfo.

    Example:
        >>> import pydl
        >>> pydl.iinfo(pydl.int8)
        iinfo(min=-128, max=127, dtype=int8)
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: dtype) -> None:
        np_dtype = as_np(type)
        if np_dtype.kind not in "iu":
            raise TypeError(f"iinfo: requires an integer type, not {np_dtype}; use finfo")
        info = np.iinfo(np_dtype)
        self.dtype, self.bits = np_dtype.name, builtins.int(info.bits)
        self.max, self.min = builtins.int(info.max), builtins.int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
