# SPDX-License-Identifier: BSD-3-Clause
"""Sums of products in Einstein's notation."""

from __future__ import annotations

import math
from typing import Any

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import composite

__all__ = ["einsum"]

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _parse(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """Letters of each operand and of the output, "..." replaced by letters that the equation does not use."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(ranks):
        raise RuntimeError(f"einsum: the equation {equation!r} has {len(terms)} operands but {len(ranks)} were given")
    free = [c for c in LETTERS if c not in equation]
    widest = 0
    for k, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        hidden = rank - len(term.replace("...", ""))
        if hidden < 0 or ("..." not in term and hidden):
            raise RuntimeError(f"einsum: subscripts {term!r} do not fit operand {k}, which has {rank} dimensions")
        widest = max(widest, hidden)
    letters = "".join(free[:widest])
    full = [
        t.replace("...", letters[widest - (rank - len(t.replace("...", ""))) :])
        for t, rank in zip(terms, ranks, strict=True)
    ]
    if arrow:
        result = output.replace("...", letters)
    else:
        used = "".join(full)
        result = letters + "".join(sorted(c for c in set(used) if used.count(c) == 1 and c not in letters))
    bad = [c for c in "".join(full) + result if c not in LETTERS]
    if bad or len(set(result)) != len(result) or not set(result) <= set("".join(full)):
        raise RuntimeError(f"einsum: the equation {equation!r} is not valid")
    return full, result


def _sizes(terms: list[str], operands: tuple[Tensor, ...]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for k, (term, x) in enumerate(zip(terms, operands, strict=True)):
        for letter, n in zip(term, x.array.shape, strict=True):
            if sizes.setdefault(letter, n) == 1:
                sizes[letter] = n
            elif n not in (1, sizes[letter]):
                raise ShapeError(
                    f"einsum: operands do not broadcast: index {letter!r} has size {sizes[letter]} before and {n} in "
                    f"operand {k} {tuple(x.array.shape)}"
                )
    return sizes


def _without_repeats(x: Tensor, term: str) -> tuple[Tensor, str]:
    """Takes the diagonal for a letter that occurs twice in one operand; it moves to the end."""
    for c in dict.fromkeys(term):
        while term.count(c) > 1:
            first = term.index(c)
            second = term.index(c, first + 1)
            x = x.diagonal(0, first, second)
            term = "".join(t for d, t in enumerate(term) if d not in (first, second)) + c
    return x, term


def _summed(x: Tensor, term: str, keep: str) -> tuple[Tensor, str]:
    """Adds up over the letters that nobody needs any more."""
    gone = [d for d, c in enumerate(term) if c not in keep]
    return (x.sum(gone), "".join(c for c in term if c in keep)) if gone else (x, term)


def _arranged(x: Tensor, term: str, *groups: str) -> Tensor:
    """x with the letters in the order of the groups, and each group as one dimension."""
    x = x.permute([term.index(c) for c in "".join(groups)])
    sizes = iter(x.shape)
    return x.reshape([math.prod(next(sizes) for _ in group) for group in groups])


def _contract(a: Tensor, s: str, b: Tensor, t: str, keep: str) -> tuple[Tensor, str]:
    """The product of two operands, summed over the letters that are not kept: one batched matrix product."""
    a, s = _summed(a, s, t + keep)
    b, t = _summed(b, t, s + keep)
    batch = "".join(c for c in s if c in t and c in keep)
    inner = "".join(c for c in s if c in t and c not in keep)
    left = "".join(c for c in s if c not in t)
    right = "".join(c for c in t if c not in s)
    sizes = dict(zip(s + t, (*a.shape, *b.shape), strict=True))
    y = _arranged(a, s, batch, left, inner) @ _arranged(b, t, batch, inner, right)
    return y.reshape([sizes[c] for c in batch + left + right]), batch + left + right


@composite
def einsum(equation: str, *operands: Any) -> Tensor:
    """y = the sum of products that the equation describes: "ij,jk->ik" is the matrix product.

    Letters name dimensions, "..." stands for any others; without "->" the letters that occur once are kept, in
    alphabetical order. Sizes of 1 are broadcast. Operands are multiplied from the left, two at a time, as matrices.
    Shapes: operands as their subscripts say; y has a dimension for each letter kept. Gradient: of each operand the same
    sum with dy in its place. Errors: RuntimeError for an equation that does not fit; ShapeError for sizes that differ.
    Source: torch.einsum.

    Example:
        >>> import pydl
        >>> a = pydl.tensor([[1., 2.], [3., 4.]])
        >>> pydl.einsum("ij,ij->i", a, a)
        tensor([ 5., 25.])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not isinstance(equation, str):
        raise TypeError("einsum: the first argument must be the equation, a str")
    for k, x in enumerate(operands):
        tensor_arg(x, "einsum", f"operand {k}")
    terms, result = _parse(equation, [x.array.ndim for x in operands])
    sizes = _sizes(terms, operands)
    parts = [
        _without_repeats(x.expand([sizes[c] for c in term]), term) for term, x in zip(terms, operands, strict=True)
    ]
    y, term = parts[0]
    for k, (x, other) in enumerate(parts[1:], start=2):
        y, term = _contract(y, term, x, other, result + "".join(t for _, t in parts[k:]))
    y, term = _summed(y, term, result)
    return y.permute([term.index(c) for c in result])
