# SPDX-License-Identifier: BSD-3-Clause
"""States of recurrent layers in the form in which the searches of `pydl.text` take them."""

from __future__ import annotations

from typing import Any

__all__ = ["turned"]


def turned(states: Any) -> Any:
    """(num_layers, N, H) as (N, num_layers, H) and back: the searches choose rows along dimension 0."""
    if isinstance(states, tuple):
        return tuple(s.transpose(0, 1) for s in states)
    return states.transpose(0, 1)
