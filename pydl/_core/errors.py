# SPDX-License-Identifier: BSD-3-Clause
"""The exceptions of pydl that are not Python's own."""

__all__ = ["IndexRangeError", "IntegerDivisionError", "RecordingError", "ShapeError"]


class ShapeError(ValueError, RuntimeError):
    """Shapes that do not fit together.

    It is a `ValueError` (NumPy's habit) and a `RuntimeError` (PyTorch's habit) at once, so that either `except` works.
    The text says the operation, what is wrong, and both shapes:

        linear: x has 4 features (x (3, 4)) but weight takes 6 (weight (5, 6))
    """


class IndexRangeError(IndexError, RuntimeError):
    """An index outside of the tensor; the text names the value.

    PyTorch raises IndexError in some operations and RuntimeError in others (gather, scatter, one_hot); both work here.
    """


class IntegerDivisionError(ZeroDivisionError, RuntimeError):
    """An integer divided by zero: Python's ZeroDivisionError and PyTorch's RuntimeError at once."""


class RecordingError(RuntimeError):
    """What a model does cannot be held in an inference plan; the text says what, and in which line."""
