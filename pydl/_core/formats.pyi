# SPDX-License-Identifier: BSD-3-Clause
"""Changes of an image tensor's memory order."""

from pydl._core.tape import TensorBase

def in_own_format(x: TensorBase) -> TensorBase: ...
def has_own_format(x: TensorBase) -> bool: ...
