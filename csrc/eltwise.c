/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the elementwise kernels. */
#include "kernels.h"
#include "eltwise.h"

#define ENTRY_UNARY(name) unary_##name,
#define ENTRY_BINARY(name) binary_##name,
#define ENTRY_COMPARE(name) compare_##name,
#define ENTRY(name) .name = name,

const pydl_eltwise PYDL_OWN(pydl_eltwise) = {
    .unary = {PYDL_UNARY(ENTRY_UNARY)},
    .binary = {PYDL_BINARY(ENTRY_BINARY)},
    .compare = {PYDL_COMPARE(ENTRY_COMPARE)},
    PYDL_ELTWISE(ENTRY)
};
