# SPDX-License-Identifier: BSD-3-Clause
"""The operations of networks as functions; they are declared, each with its gradient, in `pydl.ops`."""

from __future__ import annotations

from pydl.ops import (
    celu,
    celu_,
    elu,
    elu_,
    gelu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    leaky_relu,
    leaky_relu_,
    linear,
    log_softmax,
    logsigmoid,
    mish,
    one_hot,
    relu,
    relu6,
    relu_,
    selu,
    selu_,
    sigmoid,
    silu,
    softmax,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
    threshold_,
)
from pydl.ops.activations_gated import glu, gumbel_softmax, prelu, rrelu, rrelu_, softmin
from pydl.ops.attention import scaled_dot_product_attention
from pydl.ops.bags import embedding_bag
from pydl.ops.convolving import conv1d, conv2d, conv3d
from pydl.ops.convolving_transposed import conv_transpose1d, conv_transpose2d, conv_transpose3d
from pydl.ops.dropping import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout
from pydl.ops.folding import fold, unfold
from pydl.ops.layer_norms import layer_norm, local_response_norm, normalize, rms_norm
from pydl.ops.lookups import embedding
from pydl.ops.losses_binary import binary_cross_entropy, binary_cross_entropy_with_logits
from pydl.ops.losses_classes import cross_entropy, nll_loss
from pydl.ops.losses_ctc import ctc_loss
from pydl.ops.losses_regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from pydl.ops.norms import batch_norm, group_norm, instance_norm
from pydl.ops.padding import pad
from pydl.ops.pooling import (
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
)
from pydl.ops.pooling_average import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
)
from pydl.ops.pooling_inverse import max_unpool1d, max_unpool2d, max_unpool3d
from pydl.ops.resampling import channel_shuffle, interpolate, pixel_shuffle, pixel_unshuffle
from pydl.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "alpha_dropout", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "batch_norm", "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "celu_",
    "channel_shuffle", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cross_entropy", "ctc_loss", "dropout", "dropout1d", "dropout2d", "dropout3d", "elu", "elu_", "embedding",
    "embedding_bag", "feature_alpha_dropout", "fold", "gelu", "glu", "group_norm", "gumbel_softmax", "hardshrink",
    "hardsigmoid", "hardswish", "hardtanh", "hardtanh_", "huber_loss", "instance_norm", "interpolate", "l1_loss",
    "layer_norm", "leaky_relu", "leaky_relu_", "linear", "local_response_norm", "log_softmax", "logsigmoid",
    "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d",
    "max_pool2d_with_indices", "max_pool3d", "max_pool3d_with_indices", "max_unpool1d", "max_unpool2d", "max_unpool3d",
    "mish", "mse_loss", "nll_loss", "normalize", "one_hot", "pad", "pixel_shuffle", "pixel_unshuffle", "prelu", "relu",
    "relu6", "relu_", "rms_norm", "rrelu", "rrelu_", "scaled_dot_product_attention", "selu", "selu_", "sigmoid", "silu",
    "smooth_l1_loss", "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
    "threshold_", "unfold",
]  # fmt: skip


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = x1ᵀ W_k x2 + b_k.

    Shapes: x1 (..., I), x2 (..., J), W (K, I, J), b (K), y (..., K). Gradient: by composition of products.
    Errors: ValueError if the shapes do not fit. Source: torch.nn.functional.bilinear.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.bilinear(pydl.ones(4, 2), pydl.ones(4, 3), pydl.ones(5, 2, 3)).shape == (4, 5)
        True
    """
    k, i, j = weight.shape
    if input1.shape[:-1] != input2.shape[:-1] or input1.shape[-1] != i or input2.shape[-1] != j:
        raise ValueError(
            f"bilinear: x1 {tuple(input1.shape)} and x2 {tuple(input2.shape)} do not fit weight {tuple(weight.shape)}"
        )
    lead = tuple(input1.shape[:-1])
    # Σ_i x1_i W_kij for all k and j is one product; the sum over j is a batch of small ones.
    left = input1.reshape(-1, i) @ weight.permute(1, 0, 2).reshape(i, k * j)
    y = (left.reshape(-1, k, j) @ input2.reshape(-1, j, 1)).reshape(*lead, k)
    return y if bias is None else y + bias
