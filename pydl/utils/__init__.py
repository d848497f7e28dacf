# SPDX-License-Identifier: BSD-3-Clause
"""Tools around training: data loading, hook handles."""

from pydl.utils import data, hooks

__all__ = ["data", "hooks"]
