# SPDX-License-Identifier: BSD-3-Clause
"""Softmax and cross-entropy, for the other compiled modules. Nothing is recorded."""

from pydl._core.tape cimport TensorBase

cpdef TensorBase softmax_fwd(TensorBase x, int dim)
cpdef TensorBase softmax_bwd(TensorBase dy, TensorBase y, int dim)
cpdef TensorBase log_softmax_fwd(TensorBase x, int dim)
cpdef TensorBase log_softmax_bwd(TensorBase dy, TensorBase y, int dim)
cpdef tuple cross_entropy_fwd(TensorBase x, TensorBase target, TensorBase weight, object ignore_index, double label_smoothing,
                              str reduction, bint save)
cpdef TensorBase cross_entropy_bwd(TensorBase dy, TensorBase exps, TensorBase sums, TensorBase target, TensorBase weight,
                                   object ignore_index, double label_smoothing, str reduction, double total_weight)
