# SPDX-License-Identifier: BSD-3-Clause
"""What the public functions written in Cython ask of their arguments."""

from pydl._core.tape cimport TensorBase

cdef inline TensorBase tensor_arg(object v, str op, str name):
    if not isinstance(v, TensorBase):
        raise TypeError(f"{op}: {name} must be a Tensor, not {type(v).__name__}")
    return <TensorBase>v
