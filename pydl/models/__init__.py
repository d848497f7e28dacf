# SPDX-License-Identifier: BSD-3-Clause
"""Ready-made networks."""

from pydl.models.mlp import MLP, MyNet

__all__ = ["MLP", "MyNet"]
