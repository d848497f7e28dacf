# SPDX-License-Identifier: BSD-3-Clause
"""Looking into a network: where its gradients go, over layers and over time."""

from pydl.inspect.flow import GradientFlow, LayerFlow, StepFlow, gradient_flow

__all__ = ["GradientFlow", "LayerFlow", "StepFlow", "gradient_flow"]
