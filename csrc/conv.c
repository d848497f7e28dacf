/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the convolution kernels. */
#include "kernels.h"
#include "conv_kernels.h"
#include "simd.h"
#include "conv.h"
#include "conv_depthwise.h"
#include "conv_taps.h"

const pydl_conv PYDL_OWN(pydl_conv) = {
    .pack = conv_pack,
    .unpack = conv_unpack,
    .pack_taps = conv_pack_taps,
    .add_taps = conv_add_taps,
    .gather = conv_gather,
    .lines = conv_lines,
    .pack_pixels = conv_pack_pixels,
    .scatter = conv_scatter,
    .repeat = conv_repeat,
    .fold = conv_fold,
    .depthwise = depthwise,
    .depthwise_weight = depthwise_weight,
};
