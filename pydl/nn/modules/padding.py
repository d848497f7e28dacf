# SPDX-License-Identifier: BSD-3-Clause
"""Padding as modules: constant, zero, reflection, replication, circular; for 1, 2 and 3 spatial dimensions."""

from __future__ import annotations

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """F.pad with `padding` = (in front, behind) of the last dimension, then of the one before it, …."""

    padding: tuple[int, ...]
    n_dims = 1
    mode = "constant"

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        # One number serves every side; a tuple is checked by F.pad, as PyTorch does.
        self.padding = (padding,) * (2 * self.n_dims) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self.n_dims:
            raise ValueError(
                f"{type(self).__name__}: padding must be one number or {2 * self.n_dims}, not {self.padding}"
            )

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """_Pad with a value."""

    value: float

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A border of `value` around a sequence.

    Shapes: (N, C, W) or (C, W), each size grows by its pair of paddings; negative ones cut off. Gradient: the sum of dy
    over the places that show an element. Errors: as `nn.functional.pad`. Source: torch.nn.ConstantPad1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ConstantPad1d(1, 7.0)(pydl.tensor([[1., 2.]]))
        tensor([[7., 1., 2., 7.]])
    """

    n_dims = 1


class ConstantPad2d(_ConstantPad):
    """A border of `value` around an image.

    Shapes: (N, C, H, W) or (C, H, W), each size grows by its pair of paddings; negative ones cut off. Gradient: the sum
    of dy over the places that show an element. Errors: as `nn.functional.pad`. Source: torch.nn.ConstantPad2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ConstantPad2d(1, 7.0)(pydl.ones(1, 2, 2)).shape == (1, 4, 4)
        True
    """

    n_dims = 2


class ConstantPad3d(_ConstantPad):
    """A border of `value` around a volume.

    Shapes: (N, C, D, H, W) or (C, D, H, W), each size grows by its pair of paddings; negative ones cut off.
    Gradient: the sum of dy over the places that show an element. Errors: as `nn.functional.pad`.
    Source: torch.nn.ConstantPad3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ConstantPad3d(1, 7.0)(pydl.ones(1, 2, 2, 2)).shape == (1, 4, 4, 4)
        True
    """

    n_dims = 3


class _ZeroPad(_ConstantPad):
    """_ConstantPad with value 0."""

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """A border of zeros around a sequence.

    Shapes: (N, C, W) or (C, W), each size grows by its pair of paddings; negative ones cut off. Gradient: the sum of dy
    over the places that show an element. Errors: as `nn.functional.pad`. Source: torch.nn.ZeroPad1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ZeroPad1d(1)(pydl.tensor([[1., 2.]]))
        tensor([[0., 1., 2., 0.]])
    """

    n_dims = 1


class ZeroPad2d(_ZeroPad):
    """A border of zeros around an image.

    Shapes: (N, C, H, W) or (C, H, W), each size grows by its pair of paddings; negative ones cut off. Gradient: the sum
    of dy over the places that show an element. Errors: as `nn.functional.pad`. Source: torch.nn.ZeroPad2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ZeroPad2d(1)(pydl.ones(1, 2, 2)).shape == (1, 4, 4)
        True
    """

    n_dims = 2


class ZeroPad3d(_ZeroPad):
    """A border of zeros around a volume.

    Shapes: (N, C, D, H, W) or (C, D, H, W), each size grows by its pair of paddings; negative ones cut off.
    Gradient: the sum of dy over the places that show an element. Errors: as `nn.functional.pad`.
    Source: torch.nn.ZeroPad3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ZeroPad3d(1)(pydl.ones(1, 2, 2, 2)).shape == (1, 4, 4, 4)
        True
    """

    n_dims = 3


class ReflectionPad1d(_Pad):
    """A border that mirrors a sequence, the edge not repeated.

    Shapes: (N, C, W) or (C, W), each size grows by its pair of paddings; negative ones cut off.
    Gradient: the sum of dy over the places that show an element. Source: torch.nn.ReflectionPad1d.
    Errors: ShapeError unless each padding is smaller than its dimension.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ReflectionPad1d(1)(pydl.tensor([[1., 2.]]))
        tensor([[2., 1., 2., 1.]])
    """

    n_dims = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """A border that mirrors an image, the edge not repeated.

    Shapes: (N, C, H, W) or (C, H, W), each size grows by its pair of paddings; negative ones cut off.
    Gradient: the sum of dy over the places that show an element. Source: torch.nn.ReflectionPad2d.
    Errors: ShapeError unless each padding is smaller than its dimension.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ReflectionPad2d(1)(pydl.ones(1, 2, 2)).shape == (1, 4, 4)
        True
    """

    n_dims = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """A border that mirrors a volume, the edge not repeated.

    Shapes: (N, C, D, H, W) or (C, D, H, W), each size grows by its pair of paddings; negative ones cut off.
    Gradient: the sum of dy over the places that show an element. Source: torch.nn.ReflectionPad3d.
    Errors: ShapeError unless each padding is smaller than its dimension.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ReflectionPad3d(1)(pydl.ones(1, 2, 2, 2)).shape == (1, 4, 4, 4)
        True
    """

    n_dims = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """A border that repeats the edge of a sequence.

    Shapes: (N, C, W) or (C, W), each size grows by its pair of paddings; negative ones cut off. Gradient: the sum of dy
    over the places that show an element. Errors: as `nn.functional.pad`. Source: torch.nn.ReplicationPad1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ReplicationPad1d(1)(pydl.tensor([[1., 2.]]))
        tensor([[1., 1., 2., 2.]])
    """

    n_dims = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """A border that repeats the edge of an image.

    Shapes: (N, C, H, W) or (C, H, W), each size grows by its pair of paddings; negative ones cut off. Gradient: the sum
    of dy over the places that show an element. Errors: as `nn.functional.pad`. Source: torch.nn.ReplicationPad2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ReplicationPad2d(1)(pydl.ones(1, 2, 2)).shape == (1, 4, 4)
        True
    """

    n_dims = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """A border that repeats the edge of a volume.

    Shapes: (N, C, D, H, W) or (C, D, H, W), each size grows by its pair of paddings; negative ones cut off.
    Gradient: the sum of dy over the places that show an element. Errors: as `nn.functional.pad`.
    Source: torch.nn.ReplicationPad3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ReplicationPad3d(1)(pydl.ones(1, 2, 2, 2)).shape == (1, 4, 4, 4)
        True
    """

    n_dims = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """A border taken from the other end of a sequence.

    Shapes: (N, C, W) or (C, W), each size grows by its pair of paddings; negative ones cut off.
    Gradient: the sum of dy over the places that show an element. Source: torch.nn.CircularPad1d.
    Errors: ShapeError if a padding is larger than its dimension.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.CircularPad1d(1)(pydl.tensor([[1., 2.]]))
        tensor([[2., 1., 2., 1.]])
    """

    n_dims = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """A border taken from the other end of an image.

    Shapes: (N, C, H, W) or (C, H, W), each size grows by its pair of paddings; negative ones cut off.
    Gradient: the sum of dy over the places that show an element. Source: torch.nn.CircularPad2d.
    Errors: ShapeError if a padding is larger than its dimension.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.CircularPad2d(1)(pydl.ones(1, 2, 2)).shape == (1, 4, 4)
        True
    """

    n_dims = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """A border taken from the other end of a volume.

    Shapes: (N, C, D, H, W) or (C, D, H, W), each size grows by its pair of paddings; negative ones cut off.
    Gradient: the sum of dy over the places that show an element. Source: torch.nn.CircularPad3d.
    Errors: ShapeError if a padding is larger than its dimension.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.CircularPad3d(1)(pydl.ones(1, 2, 2, 2)).shape == (1, 4, 4, 4)
        True
    """

    n_dims = 3
    mode = "circular"
