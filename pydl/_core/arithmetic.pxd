# SPDX-License-Identifier: BSD-3-Clause
"""Arithmetic on any operands, for the other compiled modules."""

cdef object binary(int code, object a, object b)      # NotImplemented unless both are tensors or numbers, at least one a tensor
