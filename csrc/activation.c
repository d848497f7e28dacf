/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the kernels of activations and dropout. */
#include "kernels.h"
#include "activation_kernels.h"
#include "simd.h"
#include "vmath.h"
#include "runs.h"
#include "activation.h"
#include "dropout.h"

#define FILL_FWD(name) [PYDL_A_##name] = fwd_##name,
#define FILL_BWD(name) [PYDL_A_##name] = bwd_##name,

const pydl_activation PYDL_OWN(pydl_activation) = {
    .fwd = {PYDL_ACTIVATION(FILL_FWD)},
    .bwd = {PYDL_ACTIVATION(FILL_BWD)},
    .prelu = binary_prelu,
    .prelu_bwd = ternary_prelu_bwd,
    .glu = binary_glu,
    .glu_bwd = ternary_glu_bwd,
    .dropout = dropout,
    .dropout_mask = dropout_mask,
    .mask_scale = mask_scale,
    .mask_affine = mask_affine,
};
