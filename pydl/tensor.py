# SPDX-License-Identifier: BSD-3-Clause
"""The Tensor: operations as methods, conversions, and what Python's protocols ask for."""

from __future__ import annotations

import copy as _copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pydl import ops
from pydl._conversion import Conversions
from pydl._core import dtypes, engine, tape
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase
from pydl._data import as_array, new_shape
from pydl._methods import Operations
from pydl._printing import tensor_repr
from pydl._random_fills import RandomFills

__all__ = ["Tensor", "is_tensor"]


class Tensor(TensorBase, Operations, Conversions, RandomFills):
    """An n-dimensional array that remembers how it was computed.

    `Tensor(2, 3)` is an uninitialised tensor of that shape, `Tensor([1, 2])` one with these values in the default type;
    `pydl.tensor` is the usual way to make one from data. Source: torch.Tensor.

    Example:
        >>> import pydl
        >>> pydl.Tensor([1, 2]), pydl.Tensor(2, 3).shape
        (tensor([1., 2.]), pydl.Size([2, 3]))
    """

    __slots__ = ()
    __array_priority__ = 1000  # NumPy leaves `array + tensor` to the tensor

    def __init__(self, *data: Any, device: Any = None) -> None:
        if device is not None:
            dtypes.device(device)
        np_dtype = dtypes.default_np()
        given = data[0] if len(data) == 1 else None
        is_data = isinstance(given, (TensorBase, np.ndarray, Sequence)) and not isinstance(given, dtypes.Size)
        if isinstance(given, TensorBase) and given.array.dtype == np_dtype:
            self._set_data(given)
        elif is_data:
            self._set_data(tape.wrap(np.array(as_array(given, np_dtype), np_dtype)))
        else:
            self._set_data(tape.empty(new_shape(data, "Tensor") if data else (0,), np_dtype))

    @staticmethod
    def _make_subclass(cls: type, data: TensorBase, requires_grad: bool = False) -> Any:
        """A leaf of a subclass on the memory of `data`."""
        made: Any = TensorBase.__new__(cls)
        made._set_data(data)
        made.requires_grad = requires_grad
        return made

    # --- protocols --------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return tensor_repr(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 and spec else object.__format__(self, spec)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return int(self.array.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        parts: Any = ops.unbind(self, 0)
        return iter(parts)

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, (TensorBase, bool, int, float, np.generic)):
            raise RuntimeError(f"Tensor.__contains__ takes Tensors and numbers, not {type(element).__name__}")
        return bool((self == element).array.any())

    def __bool__(self) -> bool:
        if self.array.size != 1:
            what = "no values" if self.array.size == 0 else "more than one value"
            raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous")
        return bool(self.array.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.array.size != 1 or self.array.dtype.kind == "f":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.array.item())

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support deepcopy; detach() it first"
            )
        if id(self) in memo:
            found: Tensor = memo[id(self)]
            return found
        made: Tensor = Tensor._make_subclass(type(self), self.detach().clone(), self.requires_grad)
        memo[id(self)] = made
        made.__dict__.update({key: _copy.deepcopy(value, memo) for key, value in self.__dict__.items()})
        if self.grad is not None:
            made.grad = _copy.deepcopy(self.grad, memo)
        return made

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.array, self.requires_grad, dict(self.__dict__))

    # --- gradients --------------------------------------------------------------------------------------------------

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Adds d⟨gradient, self⟩/dx to `.grad` of every leaf x of the graph, or of `inputs` only.

        Shapes: gradient as self; it may be left out for one element, where it is 1.
        Errors: RuntimeError without a graph, or for a second pass without `retain_graph`.
        Source: torch.Tensor.backward.

        Example:
            >>> import pydl
            >>> x = pydl.tensor([1., 2.], requires_grad=True)
            >>> (x * x).sum().backward()
            >>> x.grad
            tensor([2., 4.])
        """
        wanted = None if inputs is None else (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
        if wanted is not None and not wanted:
            raise RuntimeError("backward: `inputs` argument to `backward()` cannot be empty.")
        keep = create_graph if retain_graph is None else retain_graph
        engine.backward((self,), (gradient,), keep, create_graph, wanted, True, True)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Sets `requires_grad` and returns the tensor. Source: torch.Tensor.requires_grad_."""
        self.requires_grad = requires_grad
        return self

    @property
    def data(self) -> Tensor:
        """The same memory outside of the graph; assigning gives this tensor other memory. Source: torch.Tensor.data."""
        return self.detach()

    @data.setter
    def data(self, source: Tensor) -> None:
        if not isinstance(source, TensorBase):
            raise TypeError(f"data must be a Tensor, not {type(source).__name__}")
        if self.requires_grad and not source.dtype.is_floating_point:
            raise RuntimeError(f"data of a tensor that requires gradients must be floating point, not {source.dtype}")
        self._set_data(source)

    # --- sizes ------------------------------------------------------------------------------------------------------

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension. Errors: IndexError. Source: torch.Tensor.size."""
        return self.shape if dim is None else self.shape[self._dim(dim, "size")]

    def stride(self, dim: int | None = None) -> Any:
        """Elements from one neighbor to the next, of all dimensions or one. Source: torch.Tensor.stride."""
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        return strides if dim is None else strides[self._dim(dim, "stride")]

    def _dim(self, dim: int, name: str) -> int:
        if not -self.ndim <= dim < self.ndim:
            raise IndexError(f"{name}: Dimension out of range (tensor of shape {tuple(self.shape)}, but got {dim})")
        return dim

    def dim(self) -> int:
        """The number of dimensions. Source: torch.Tensor.dim."""
        return self.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements. Source: torch.Tensor.numel."""
        return int(self.array.size)

    nelement = numel

    def element_size(self) -> int:
        """Bytes per element. Source: torch.Tensor.element_size."""
        return int(self.array.itemsize)

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return int(self.array.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self.array.nbytes)

    @property
    def T(self) -> Tensor:
        """The dimensions in reverse order, as a view. Source: torch.Tensor.T."""
        return self.permute(tuple(range(self.ndim - 1, -1, -1)))

    @property
    def mT(self) -> Tensor:
        """The last two dimensions swapped, as a view. Source: torch.Tensor.mT."""
        if self.ndim < 2:
            raise RuntimeError(f"tensor.mT is only supported on matrices or batches of them. Got {self.ndim}-D tensor.")
        return self.transpose(-2, -1)

    def expand_as(self, other: TensorBase) -> Tensor:
        """expand to the shape of `other`. Source: torch.Tensor.expand_as."""
        return self.expand(other.shape)

    def view_as(self, other: TensorBase) -> Tensor:
        """view in the shape of `other`. Source: torch.Tensor.view_as."""
        return self.view(other.shape)

    def reshape_as(self, other: TensorBase) -> Tensor:
        """reshape to the shape of `other`. Source: torch.Tensor.reshape_as."""
        return self.reshape(other.shape)

    def ravel(self) -> Tensor:
        """The elements as one dimension. Source: torch.Tensor.ravel."""
        return self.reshape(-1)

    # --- filling ----------------------------------------------------------------------------------------------------

    def zero_(self) -> Tensor:
        """Writes 0 to every element. Source: torch.Tensor.zero_."""
        return self.fill_(0)

    def fill_(self, value: Any) -> Tensor:
        """Writes a number, or the element of a 0-d tensor, everywhere. Source: torch.Tensor.fill_."""
        if not isinstance(value, TensorBase):
            return super().fill_(value)
        if value.ndim:
            raise ShapeError(f"fill_: only supports a 0-dimensional value tensor, not {tuple(value.shape)}")
        return self.copy_(value)

    def fill_diagonal_(self, fill_value: float, wrap: bool = False) -> Tensor:
        """Writes a number to the main diagonal of a matrix. Source: torch.Tensor.fill_diagonal_."""
        if self.ndim != 2 or wrap:
            raise NotImplementedError("fill_diagonal_: covers matrices, without wrap")
        diagonal: Any = self.diagonal()
        diagonal.fill_(fill_value)
        return self


def _rebuild(cls: type, array: Any, requires_grad: bool, extras: dict[str, Any]) -> Any:
    """Inverse of `Tensor.__reduce_ex__`."""
    made = Tensor._make_subclass(cls, tape.wrap(array), requires_grad)
    made.__dict__.update(extras)
    return made


def is_tensor(obj: object, /) -> bool:
    """Whether obj is a pydl tensor. Source: torch.is_tensor.

    Example:
        >>> import pydl
        >>> pydl.is_tensor(pydl.ones(1)), pydl.is_tensor([1.0])
        (True, False)
    """
    return isinstance(obj, TensorBase)


tape.set_tensor_type(Tensor)
