# SPDX-License-Identifier: BSD-3-Clause
"""Activations written in Cython, under their names. Their check, forward and backward stand in pydl/_core."""

from pydl._core import activation_functions
from pydl.ops._declare import native

# `name_` is the form in place of `name`, not an operation of its own.
_FUNCTIONS = {
    name: function
    for name, function in vars(activation_functions).items()
    if type(function).__name__ == "cython_function_or_method" and not name.startswith(("_", "set_"))
}
__all__ = sorted(_FUNCTIONS)

for _name, _function in _FUNCTIONS.items():
    globals()[_name] = _function if _name.endswith("_") else native(_function)
