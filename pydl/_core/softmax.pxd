# SPDX-License-Identifier: BSD-3-Clause
"""Softmax and cross-entropy of whole tensors; nothing here is for other compiled modules."""
