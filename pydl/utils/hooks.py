# SPDX-License-Identifier: BSD-3-Clause
"""The handle that registering a hook returns."""

from pydl.autograd.graph import RemovableHandle

__all__ = ["RemovableHandle"]
