# SPDX-License-Identifier: BSD-3-Clause
"""Files: `save` and `load` for checkpoints, `safetensors` for plain named tensors."""

from pydl.io import safetensors
from pydl.io.checkpoint import load, save

__all__ = ["load", "safetensors", "save"]
