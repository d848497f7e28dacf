# SPDX-License-Identifier: BSD-3-Clause
"""The operations that are methods of tensors too, each the same object as the function."""

from __future__ import annotations

from typing import Any

from pydl import ops
from pydl.ops._inplace import copying_form

__all__ = ["Operations"]


class Operations:
    """Methods that are operations. `Tensor` inherits them."""

    __slots__ = ()

    # elementwise
    abs, absolute, neg, negative = ops.abs, ops.abs, ops.neg, ops.neg
    square, reciprocal, sqrt, rsqrt = ops.square, ops.reciprocal, ops.sqrt, ops.rsqrt
    exp, exp2, expm1, log, log1p, log2, log10 = ops.exp, ops.exp2, ops.expm1, ops.log, ops.log1p, ops.log2, ops.log10
    sin, cos, tan, sinh, cosh, tanh = ops.sin, ops.cos, ops.tan, ops.sinh, ops.cosh, ops.tanh
    erf, erfc, hardshrink = ops.erf, ops.erfc, ops.hardshrink
    sigmoid, relu, sign, floor, ceil, round = ops.sigmoid, ops.relu, ops.sign, ops.floor, ops.ceil, ops.round
    trunc, fix, frac, clamp, clip = ops.trunc, ops.trunc, ops.frac, ops.clamp, ops.clamp
    isnan, isinf, isfinite, isclose = ops.isnan, ops.isinf, ops.isfinite, ops.isclose
    add, sub, subtract, mul, multiply = ops.add, ops.sub, ops.sub, ops.mul, ops.mul
    div, divide, true_divide, pow = ops.div, ops.div, ops.div, ops.pow
    floor_divide, remainder, fmod = ops.floor_divide, ops.remainder, ops.fmod
    maximum, minimum = ops.maximum, ops.minimum
    addcmul, addcdiv, lerp = ops.addcmul, ops.addcdiv, ops.lerp
    eq, ne, lt, le, gt, ge = ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge
    not_equal, less, less_equal, greater, greater_equal = ops.ne, ops.lt, ops.le, ops.gt, ops.ge
    equal, allclose = ops.equal, ops.allclose
    logical_and, logical_or = ops.logical_and, ops.logical_or
    logical_xor, logical_not = ops.logical_xor, ops.logical_not
    bitwise_and, bitwise_or = ops.bitwise_and, ops.bitwise_or
    bitwise_xor, bitwise_not = ops.bitwise_xor, ops.bitwise_not

    # reductions
    sum, mean, prod, var, std, norm = ops.sum, ops.mean, ops.prod, ops.var, ops.std, ops.norm
    amax, amin, aminmax, max, min = ops.amax, ops.amin, ops.aminmax, ops.max, ops.min
    argmax, argmin, any, all = ops.argmax, ops.argmin, ops.any, ops.all
    logsumexp, softmax, log_softmax = ops.logsumexp, ops.softmax, ops.log_softmax
    cumsum, cumprod, count_nonzero, bincount = ops.cumsum, ops.cumprod, ops.count_nonzero, ops.bincount
    sum_to_size = ops.sum_to_size

    # products
    matmul, mm, bmm, mv, dot, outer, ger = ops.matmul, ops.mm, ops.bmm, ops.mv, ops.dot, ops.outer, ops.outer
    addmm, addmv, baddbmm = ops.addmm, ops.addmv, ops.baddbmm

    # shapes and views
    view, reshape, flatten, unflatten = ops.view, ops.reshape, ops.flatten, ops.unflatten
    transpose, swapaxes, swapdims, t = ops.transpose, ops.transpose, ops.transpose, ops.t
    permute, movedim, moveaxis, expand = ops.permute, ops.movedim, ops.movedim, ops.expand
    broadcast_to, squeeze, unsqueeze = ops.broadcast_to, ops.squeeze, ops.unsqueeze
    narrow, select, split, split_with_sizes = ops.narrow, ops.select, ops.split, ops.split_with_sizes
    chunk, tensor_split, unbind = ops.chunk, ops.tensor_split, ops.unbind
    diagonal, diag, diag_embed, tril, triu = ops.diagonal, ops.diag, ops.diag_embed, ops.tril, ops.triu
    flip, fliplr, flipud, roll = ops.flip, ops.fliplr, ops.flipud, ops.roll
    repeat, tile, repeat_interleave, clone = ops.repeat, ops.tile, ops.repeat_interleave, ops.clone

    # elements
    gather, scatter, scatter_add = ops.gather, ops.scatter, ops.scatter_add
    index_select, index_add, index_put = ops.index_select, ops.index_add, ops.index_put
    take_along_dim, masked_fill, masked_select = ops.take_along_dim, ops.masked_fill, ops.masked_select
    nonzero, argwhere, sort, argsort, msort = ops.nonzero, ops.argwhere, ops.sort, ops.argsort, ops.msort
    topk, kthvalue, median = ops.topk, ops.kthvalue, ops.median
    unique, unique_consecutive = ops.unique, ops.unique_consecutive

    # in place
    abs_, absolute_, neg_, negative_ = ops.abs_, ops.abs_, ops.neg_, ops.neg_
    square_, reciprocal_, sqrt_, exp_, log_ = ops.square_, ops.reciprocal_, ops.sqrt_, ops.exp_, ops.log_
    tanh_, sigmoid_, relu_ = ops.tanh_, ops.sigmoid_, ops.relu_
    erf_, erfc_, expm1_, log1p_ = ops.erf_, ops.erfc_, ops.expm1_, ops.log1p_
    add_, sub_, subtract_, mul_, multiply_ = ops.add_, ops.sub_, ops.sub_, ops.mul_, ops.mul_
    div_, divide_, true_divide_, pow_, copy_ = ops.div_, ops.div_, ops.div_, ops.pow_, ops.copy_
    index_put_, index_add_, masked_fill_ = ops.index_put_, ops.index_add_, ops.masked_fill_
    scatter_, scatter_add_ = ops.scatter_, ops.scatter_add_
    rsqrt_ = copying_form("rsqrt", ops.rsqrt)
    exp2_ = copying_form("exp2", ops.exp2)
    log2_ = copying_form("log2", ops.log2)
    log10_, sin_, cos_ = copying_form("log10", ops.log10), copying_form("sin", ops.sin), copying_form("cos", ops.cos)
    tan_, sinh_, cosh_ = copying_form("tan", ops.tan), copying_form("sinh", ops.sinh), copying_form("cosh", ops.cosh)
    sign_, floor_ = copying_form("sign", ops.sign), copying_form("floor", ops.floor)
    ceil_, round_ = copying_form("ceil", ops.ceil), copying_form("round", ops.round)
    trunc_, fix_ = copying_form("trunc", ops.trunc), copying_form("trunc", ops.trunc)
    frac_ = copying_form("frac", ops.frac)
    clamp_ = copying_form("clamp", ops.clamp)
    clip_ = copying_form("clamp", ops.clamp)
    floor_divide_ = copying_form("floor_divide", ops.floor_divide)
    remainder_, fmod_ = copying_form("remainder", ops.remainder), copying_form("fmod", ops.fmod)
    addcmul_, addcdiv_ = copying_form("addcmul", ops.addcmul), copying_form("addcdiv", ops.addcdiv)
    lerp_, cumsum_ = copying_form("lerp", ops.lerp), copying_form("cumsum", ops.cumsum)
    tril_, triu_ = copying_form("tril", ops.tril), copying_form("triu", ops.triu)
    addmm_, addmv_ = copying_form("addmm", ops.addmm), copying_form("addmv", ops.addmv)
    logical_and_, logical_or_ = copying_form("logical_and", ops.logical_and), copying_form("logical_or", ops.logical_or)
    logical_not_ = copying_form("logical_not", ops.logical_not)
    bitwise_and_, bitwise_or_ = copying_form("bitwise_and", ops.bitwise_and), copying_form("bitwise_or", ops.bitwise_or)
    bitwise_xor_ = copying_form("bitwise_xor", ops.bitwise_xor)
    bitwise_not_ = copying_form("bitwise_not", ops.bitwise_not)

    # operators that the core has not
    __floordiv__, __mod__, __ifloordiv__, __imod__ = ops.floor_divide, ops.remainder, floor_divide_, remainder_
    __and__, __or__, __xor__ = ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor
    __rand__, __ror__, __rxor__ = ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor
    __iand__, __ior__, __ixor__ = bitwise_and_, bitwise_or_, bitwise_xor_

    def __invert__(self: Any) -> Any:
        if self.dtype.is_floating_point:
            raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
        return ops.bitwise_not(self)

    def __rfloordiv__(self, other: Any) -> Any:
        return ops.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Any:
        return ops.remainder(other, self)

    def where(self, condition: Any, other: Any) -> Any:
        """y = self where condition, else other. Source: torch.Tensor.where."""
        return ops.where(condition, self, other)

    def prelu(self, weight: Any) -> Any:
        """y = x where x > 0, else weight · x. Source: torch.Tensor.prelu."""
        return ops.prelu(self, weight)
