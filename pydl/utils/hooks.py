# SPDX-License-Identifier: BSD-3-Clause
"""The handle that registering a hook returns."""

from pydl.nn.modules._hooks import RemovableHandle

__all__ = ["RemovableHandle"]
