# SPDX-License-Identifier: BSD-3-Clause
"""The operations written in Cython, under their names. Their check, forward and backward stand in pydl/_core."""

from pydl._core import binary_functions, tensor_functions, unary_functions
from pydl.ops._declare import native

_WITH_INPLACE_FORM = (
    "neg", "abs", "square", "reciprocal", "sqrt", "exp", "log", "tanh", "sigmoid", "relu", "add", "sub", "mul", "div",
    "pow",
)  # fmt: skip
_OTHERS = (
    "maximum", "minimum", "tanh_backward", "sigmoid_backward", "threshold_backward", "eq", "ne", "lt", "le", "gt", "ge",
    "where", "clamp", "matmul", "linear", "sum", "mean", "view", "reshape", "flatten", "transpose", "t", "permute",
    "expand", "squeeze", "unsqueeze", "clone", "contiguous", "cast",
)  # fmt: skip

__all__ = [*_WITH_INPLACE_FORM, *[f"{name}_" for name in _WITH_INPLACE_FORM], *_OTHERS, "copy_"]

_functions = {**vars(unary_functions), **vars(binary_functions), **vars(tensor_functions)}
for _name in (*_WITH_INPLACE_FORM, *_OTHERS):
    globals()[_name] = native(_functions[_name])
for _name in _WITH_INPLACE_FORM:
    globals()[f"{_name}_"] = _functions[f"{_name}_"]
copy_ = tensor_functions.copy_
