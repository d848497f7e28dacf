# SPDX-License-Identifier: BSD-3-Clause
"""Inference plans: a model as a list of compiled calls on planned memory. `pydl.freeze` makes one.

`graph` turns what was recorded (pydl/_core/recorder.pyx) into nodes, `passes` joins them, `layouts` decides on orders
of elements, `memory` plans the buffers, `building` makes the steps (pydl/_core/plan*.pyx).
"""

from pydl._core.errors import RecordingError
from pydl.inference.freezing import Plan, freeze

__all__ = ["Plan", "RecordingError", "freeze"]
