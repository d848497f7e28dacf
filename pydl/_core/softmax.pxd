# SPDX-License-Identifier: BSD-3-Clause
"""Softmax of whole tensors; nothing here is for other compiled modules."""
