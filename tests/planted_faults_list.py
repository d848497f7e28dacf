# SPDX-License-Identifier: BSD-3-Clause
"""The faults that `planted_faults.py` plants: such as an engineer could make, in every room of the library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`old`, which stands in `file` exactly once, becomes `new`; `tests` are pytest's arguments, run first."""

    name: str
    file: str
    old: str
    new: str
    what: str
    tests: str


KERNELS = [
    Fault(
        "softmax-tail-lane", "csrc/softmax.h",
        "vselect(vlane_index() < (ireal)left, vload_n(x + i, left), lowest)",
        "vselect(vlane_index() <= (ireal)left, vload_n(x + i, left), lowest)",
        "a 0 behind the end of a row takes part in the maximum",
        "tests/test_kernel_rows.py -k softmax",
    ),
    Fault(
        "max-nan-in-tail", "csrc/reduce.h",
        "        nan |= u != u;\n", "",
        "NaN in the last, incomplete vector of a row is not noticed",
        "tests/test_kernel_rows.py -k extremes",
    ),
    Fault(
        "argmax-second-block", "csrc/reduce.h",
        "if (indices) indices[k] = first + at[k];",
        "if (indices) indices[k] = at[k];",
        "indices behind the first 2^20 rows count from the block's first row",
        "tests/test_kernel_rows.py -k extremes",
    ),
    Fault(
        "gemv-bias-stride", "csrc/gemv.h",
        "y + j * sy, bias && last ? bias + j * sb : NULL, f)",
        "y + j * sy, bias && last ? bias + j : NULL, f)",
        "one bias for all outputs is read as one each",
        "tests/test_gemm.py",
    ),
    Fault(
        "conv-right-edge", "csrc/conv.h",
        "if (at >= 0 && at < g->in[2]) conv_copy(",
        "if (at >= 0 && at <= g->in[2]) conv_copy(",
        "dilated or grouped taps read one pixel behind the line in place of padding",
        "tests/test_conv_kernels.py tests/test_conv.py",
    ),
    Fault(
        "conv-plane-stride", "csrc/conv.h",
        "o.image + (d * g->in[1] + h) * g->in[2] * g->pixel",
        "o.image + (d * g->in[2] + h) * g->in[2] * g->pixel",
        "height and width change places: seen where a volume is not square",
        "tests/test_conv_kernels.py tests/test_conv.py",
    ),
    Fault(
        "max-pool-ties", "csrc/pool.h",
        "const vint better = (v > best[j]) | (v != v);",
        "const vint better = (v >= best[j]) | (v != v);",
        "of equal elements the last one wins",
        "tests/test_pool_kernels.py",
    ),
    Fault(
        "avg-pool-neighbours", "csrc/pool.h",
        "w->out_lo[iw] == w->out_lo[iw - 1] && w->out_hi[iw] == w->out_hi[iw - 1])",
        "w->out_lo[iw] == w->out_lo[iw - 1])",
        "a gradient is copied from a pixel that fewer windows hold",
        "tests/test_pool_kernels.py",
    ),
    Fault(
        "norm-low-part", "csrc/norm.h",
        "const double about_mean = s2[c] - low * s1[c];",
        "const double about_mean = s2[c];",
        "float32's rounding of the mean is forgotten in the gradient: seen where the mean is large",
        "tests/test_norm_kernels.py tests/test_norms.py",
    ),
    Fault(
        "ctc-skip-shifted", "csrc/ctc.h",
        "vload_upto(through + i + 1, left) + vload_upto(skip + i + 1, left)",
        "vload_upto(through + i + 1, left) + vload_upto(skip + i, left)",
        "backward, the mask of repeated labels is off by one",
        "tests/test_ctc.py",
    ),
    Fault(
        "gru-reset-carry", "csrc/recurrent.h",
        "vstore_upto(carry, vfma(d, r, vload_upto(carry, left)), left);",
        "vstore_upto(carry, d * r, left);",
        "the state's gradient through the update gate is lost (reset before the product)",
        "tests/test_recurrent_kernels.py tests/test_recurrent_derivatives.py",
    ),
    Fault(
        "dropout-scale-in-float", "csrc/dropout.h",
        "const vreal p[3] = {vset((real)p_[0]),",
        "const vreal p[3] = {vset((float)p_[0]),",
        "the factor 1 / (1 - p) of a float64 tensor has the digits of float32",
        "tests/test_dropout.py",
    ),
    Fault(
        "tail-over-read", "csrc/runs.h",
        "if (i < n) vstore_n(y + i, f(vload_n(x + i, n - i)), n - i);",
        "if (i < n) vstore_n(y + i, f(vload(x + i)), n - i);",
        "a whole vector is read where only a tail exists: no result changes",
        "tests/test_guard_pages.py",
    ),
    Fault(
        "smoothing-class-weights", "csrc/softmax.h",
        "const vreal scale = vset((hard + soft * total_weight) / sum[r]), down = vset(-soft);",
        "const vreal scale = vset((hard + soft * (real)n) / sum[r]), down = vset(-soft);",
        "the gradient of smoothed labels takes every class weight for 1",
        "tests/test_kernel_rows.py -k cross_entropy",
    ),
    Fault(
        "elu-kink", "csrc/activation.h",
        "return dy * vselect(x > 0, p[1], vexp(x * p[2]) * (p[0] * p[1] * p[2]));",
        "return dy * vselect(x >= 0, p[1], vexp(x * p[2]) * (p[0] * p[1] * p[2]));",
        "at 0 the derivative from the wrong side: seen where alpha is not 1",
        "tests/test_activations.py",
    ),
]  # fmt: skip

CORE = [
    Fault(
        "conv-sums-on-garbage", "pydl/_core/conv_blocks.pyx",
        "PYDL_GEMM_PADDED | (PYDL_GEMM_ACCUMULATE if k0 or p.adds else 0) | (",
        "PYDL_GEMM_PADDED | PYDL_GEMM_ACCUMULATE | (",
        "the first product of a block is added to uninitialised memory",
        "tests/test_conv_kernels.py tests/test_conv.py",
    ),
    Fault(
        "conv-bias-of-group", "pydl/_core/conv_blocks.pyx",
        "p.bias + channel * p.size if last and p.bias != NULL else NULL,",
        "p.bias + j * p.size if last and p.bias != NULL else NULL,",
        "every group gets the bias of the first",
        "tests/test_conv_kernels.py tests/test_conv.py",
    ),
    Fault(
        "conv-shared-scratch", "pydl/_core/conv_blocks.pyx",
        "run_block(team.p, i, team.work + t * team.stride)",
        "run_block(team.p, i, team.work)",
        "a race: all threads gather into one buffer",
        "tests/test_conv_kernels.py -k threads",
    ),
    Fault(
        "depthwise-last-piece", "pydl/_core/depthwise.pyx",
        "    for i in range(1, n_pieces):\n",
        "    for i in range(1, n_pieces - 1):\n",
        "the weights' gradient lacks the last piece of a large image",
        "tests/test_conv_kernels.py tests/test_conv.py",
    ),
    Fault(
        "recurrent-no-barrier", "pydl/_core/recurrent_steps.pyx",
        "if team > 1 and what != INITIAL:",
        "if team > 1 and what == FORWARD:",
        "a race: backward, threads do not wait for each other between two steps",
        "tests/test_recurrent_core.py -k thread",
    ),
    Fault(
        "fill-without-version", "pydl/_core/inplace.pyx",
        "    x.s.version += 1\n    return x\n\n\n@cython.no_gc\ncdef class FillNode(Node):\n",
        "    return x\n\n\n@cython.no_gc\ncdef class FillNode(Node):\n",
        "fill_ of a saved tensor is not noticed in backward",
        "tests/test_inplace.py",
    ),
    Fault(
        "clipping-without-version", "pydl/_core/clipping.pyx",
        "    for t in tensors:\n        (<TensorBase>t).s.version += 1\n    return 0\n",
        "    return 0\n",
        "clipping a saved tensor is not noticed in backward",
        "tests/test_clip_grad.py",
    ),
    Fault(
        "grad-of-two-leaves", "pydl/_core/engine.pyx",
        "leaf.grad_ = g if is_own(g) else slots.copy_(new_like(g), g)",
        "leaf.grad_ = g",
        "the two operands of a sum have one tensor as their grad",
        "tests/test_ops.py -k share_no_memory",
    ),
    Fault(
        "saved-unchecked", "pydl/_core/dispatch.pyx",
        "unpack(<TensorBase>self.tensors[i], self.versions[i], maker)",
        "unpack(<TensorBase>self.tensors[i], (<TensorBase>self.tensors[i]).s.version, maker)",
        "declared operations do not notice that a saved tensor was changed",
        "tests/test_inplace.py tests/test_function.py",
    ),
    Fault(
        "targets-unchecked", "pydl/_core/cross_entropy.pyx",
        "    check_targets(&p)                       # they may have been changed since\n", "",
        "targets out of range, written after the forward pass, are written to",
        "tests/test_core_rows.py -k 'cross_entropy or targets'",
    ),
    Fault(
        "random-overlap", "pydl/_core/random.pyx",
        "return (d.n + per_counter - 1) // per_counter",
        "return d.n // per_counter",
        "the numbers of one call appear again in the next: seen for odd sizes",
        "tests/test_philox.py tests/test_random.py",
    ),
    Fault(
        "empty-sum", "pydl/_core/sums.pyx",
        "    if cnp.PyArray_SIZE(x.a) == 0:\n        out.a.fill(0)\n        return out\n",
        "    if cnp.PyArray_SIZE(x.a) == 0:\n        return out\n",
        "the sum over a dimension of size 0 is uninitialised memory",
        "tests/test_ops.py -k 'values and sum'",
    ),
    Fault(
        "padding-index-0", "pydl/_core/embedding.pyx",
        "    if skip >= 0:\n",
        "    if skip > 0:\n",
        "row 0 as the padding row gets a gradient",
        "tests/test_ops.py -k embedding_backward",
    ),
    Fault(
        "running-variance-biased", "pydl/_core/norm.pyx",
        "cdef double unbiased = 1 / (n_images * (count - 1)) if count > 1",
        "cdef double unbiased = 1 / (n_images * count) if count > 1",
        "the running variance divides by n",
        "tests/test_norms.py",
    ),
    Fault(
        "adamax-bias-correction", "pydl/_core/optimizers.pyx",
        "self.h.adamax.rate = self.lr / (1 - pow(self.beta1, scalars[0]))",
        "self.h.adamax.rate = self.lr / (1 - pow(self.beta2, scalars[0]))",
        "the first moment is corrected by the second's beta",
        "tests/test_optim_steps.py tests/test_optim.py",
    ),
    Fault(
        "radam-double-decay", "pydl/_core/optimizers.pyx",
        "self.h.radam.weight_decay, self.h.radam.shrink = self.added_decay(), self.shrink()",
        "self.h.radam.weight_decay, self.h.radam.shrink = self.weight_decay, self.shrink()",
        "decoupled weight decay is added to the gradient as well",
        "tests/test_optim_steps.py tests/test_optim.py",
    ),
    Fault(
        "avg-pool-overhang", "pydl/_core/pool_windows.pyx",
        "count[o] = min(w.kernel, left + padding) if include_pad",
        "count[o] = w.kernel if include_pad",
        "a window beyond the padding (ceil_mode) is divided by its full size",
        "tests/test_pool_kernels.py tests/test_pool.py tests/test_ops.py -k 'avg_pool or average'",
    ),
    Fault(
        "in-place-overlap", "pydl/_core/inplace.pyx",
        "is_float(x) and same_shape(x, y) and y.s is not x.s\n",
        "is_float(x) and same_shape(x, y)\n",
        "x[1:] += x[:-1] reads elements that it has written already",
        "tests/test_ops.py -k read_before",
    ),
    Fault(
        "interrupt-unseen", "pydl/_core/engine.pyx",
        "        if not n_steps & 63:\n",
        "        if not n_steps & 0xffffff:\n",
        "Ctrl-C waits for the end of a long backward",
        "tests/test_graphs.py -k signal",
    ),
]  # fmt: skip

PYTHON = [
    Fault(
        "warm-restart-late", "pydl/optim/lr_scheduler/_cosine.py",
        "if self.T_cur >= self.T_i:",
        "if self.T_cur > self.T_i:",
        "the restart comes one step late",
        "tests/test_lr_scheduler.py",
    ),
    Fault(
        "workers-one-seed", "pydl/utils/data/worker.py",
        "seed = job.base_seed + job.id",
        "seed = job.base_seed",
        "all workers of a loader draw the same numbers",
        "tests/test_data_workers.py",
    ),
    Fault(
        "orthogonal-signs", "pydl/nn/init.py",
        "    return q * signs\n",
        "    return q\n",
        "orthogonal matrices are drawn from a part of all of them",
        "tests/test_init.py",
    ),
    Fault(
        "weighted-mse-term", "pydl/ops/losses_regression.py",
        "return weighted.sum() / weight.sum() if",
        "return weighted.sum() / weight.sum().detach() if",
        "the weight's gradient through the divisor of the weighted mean is missing",
        "tests/test_ops.py -k mse_loss",
    ),
    Fault(
        "slice-backwards", "pydl/io/safetensors.py",
        "(min(start, stop) + 1, start + 1)",
        "(min(start, stop), start + 1)",
        "a slice with a negative step reads one row too many",
        "tests/test_io.py",
    ),
    Fault(
        "adamw-default", "pydl/optim/adamw.py",
        "weight_decay: float = 1e-2,",
        "weight_decay: float = 0.0,",
        "AdamW without weight decay by default",
        "tests/test_optim.py tests/test_optim_steps.py tests/test_optim_torch.py",
    ),
    Fault(
        "sequence-order", "pydl/nn/modules/_sequence_layout.py",
        "self.order, self.inverse = order, np.argsort(order)",
        "self.order, self.inverse = order, order",
        "a permutation for its inverse: seen with three sequences that change places",
        "tests/test_recurrent_packed.py tests/test_recurrent_layers.py",
    ),
    Fault(
        "std-of-equals", "pydl/ops/statistics.py",
        "return (dy / divisor.masked_fill(zero, 1.0)).masked_fill(zero, 0.0)",
        "return (dy / divisor).masked_fill(zero, 0.0)",
        "the second derivative of std and norm is NaN where they are 0",
        "tests/test_ops.py -k 'second and (std or norm)'",
    ),
    Fault(
        "index-add-alpha", "pydl/ops/gathering.py",
        "            dsource = dsource if ctx.alpha == 1 else dsource * ctx.alpha\n", "",
        "the gradient of what is added forgets its factor",
        "tests/test_ops.py -k index_add",
    ),
    Fault(
        "clipping-scales-up", "pydl/nn/utils/clip_grad.py",
        "factor = min(float(max_norm) / (total_norm.item() + 1e-6), 1.0)",
        "factor = float(max_norm) / (total_norm.item() + 1e-6)",
        "gradients shorter than max_norm are stretched to it",
        "tests/test_clip_grad.py",
    ),
    Fault(
        "plateau-early", "pydl/optim/lr_scheduler/_plateau.py",
        "if self.num_bad_epochs > self.patience:",
        "if self.num_bad_epochs >= self.patience:",
        "the rate falls one epoch early",
        "tests/test_lr_scheduler.py",
    ),
    Fault(
        "cumulative-average", "pydl/nn/modules/batchnorm.py",
        "factor = 1.0 / (int(count.item()) + 1)",
        "factor = 1.0 / (int(count.item()) + 2)",
        "momentum=None: the average of all batches counts one too many",
        "tests/test_norms.py tests/test_norm_parity.py",
    ),
    Fault(
        "stream-drop-last", "pydl/utils/data/fetch.py",
        "if not batch or (drop_last and len(batch) < size):",
        "if not batch:",
        "drop_last has no effect on a stream",
        "tests/test_data.py",
    ),
    Fault(
        "beam-stops-early", "pydl/text/search.py",
        "reachable = best / self.max_length**self.length_penalty",
        "reachable = best",
        "a beam search ends although a longer sequence can still come first",
        "tests/test_text.py",
    ),
    Fault(
        "lbfgs-history-order", "pydl/optim/lbfgs.py",
        "zip(changes, steps, weights, shares[::-1], strict=True)",
        "zip(changes, steps, weights, shares, strict=True)",
        "the second loop takes the shares of the first in the wrong order",
        "tests/test_lbfgs.py",
    ),
    Fault(
        "causal-mask-shifted", "pydl/ops/attention.py",
        "np.tri(n_rows, n_columns, dtype=np.bool_)",
        "np.tri(n_rows, n_columns, 1, dtype=np.bool_)",
        "every query sees one position of the future",
        "tests/test_attention.py",
    ),
    Fault(
        "truncated-normal-tail", "pydl/nn/init.py",
        "sign = -1.0 if low > 0 else 1.0",
        "sign = 1.0",
        "bounds far above the mean: probabilities near 1 have lost their digits",
        "tests/test_init.py",
    ),
    Fault(
        "same-padding-side", "pydl/ops/convolving.py",
        "for side in (0, t % 2)])",
        "for side in (t % 2, 0)])",
        "padding='same' of an even kernel puts its odd zero in front",
        "tests/test_conv.py tests/test_conv_parity.py",
    ),
    Fault(
        "window-adjoint", "pydl/ops/layer_norms.py",
        "return window_sum(dy, ctx.above, ctx.below)",
        "return window_sum(dy, ctx.below, ctx.above)",
        "the gradient of a window that is not symmetric runs the wrong way",
        "tests/test_ops.py -k window_sum",
    ),
]  # fmt: skip

FAULTS = KERNELS + CORE + PYTHON
