# SPDX-License-Identifier: BSD-3-Clause
"""Cases of attention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests import reference_attention as reference
from tests.harness import Array, Case, Draw, Error, S, Sample, rough


def _qkv(g: Draw, lead: tuple[int, ...] = (), n: tuple[int, int, int, int] = (4, 6, 5, 7)) -> tuple[Array, ...]:
    """Query, key and value for L, S, E, F."""
    rows, columns, e, f = n
    return g.normal(*lead, rows, e), g.normal(*lead, columns, e), g.normal(*lead, columns, f)


def _masks(g: Draw) -> Iterator[Sample]:
    q, k, v = _qkv(g, (2, 3))
    allowed = g.flags(4, 6)
    allowed[:, 0] = True
    yield S(q, k, v, allowed)
    nowhere = allowed.copy()
    nowhere[1] = False
    yield S(q, k, v, nowhere)
    yield S(q, k, v, np.zeros((4, 6), bool))
    yield S(q, k, v, g.flags(2, 1, 1, 6))  # a batch with paddings
    yield S(q, k, v, g.flags(3, 4, 1))
    yield S(q, k, v, g.normal(4, 6))
    yield S(q, k, v, g.normal(2, 1, 1, 6))
    yield rough(q, k, v, np.where(allowed, 0.0, -np.inf))
    yield rough(q, k, v, np.where(nowhere, g.normal(4, 6), -np.inf))


def _samples(g: Draw) -> Iterator[Sample]:
    for lead in ((), (3,), (2, 3), (2, 1, 3)):
        yield S(*_qkv(g, lead))
        yield S(*_qkv(g, lead), is_causal=True)
    for n in ((1, 1, 1, 1), (1, 6, 5, 3), (6, 4, 3, 3), (33, 35, 17, 18)):
        yield S(*_qkv(g, (2,), n), None, 0.0, True)
        yield S(*_qkv(g, (2,), n), scale=0.3)
    yield S(*(3 * x for x in _qkv(g, (2,))), scale=4.0)
    yield from _masks(g)
    for n in ((0, 6, 5, 7), (4, 0, 5, 7), (4, 6, 0, 7), (4, 6, 5, 0)):
        yield S(*_qkv(g, (2,), n))
    yield S(*_qkv(g, (0, 3)))
    yield S(*_qkv(g, (), (1, 1, 1, 1)))
    yield S(g.normal(2, 3, 4, 5), g.normal(3, 6, 5), g.normal(6, 7))  # leading dimensions broadcast
    yield S(g.normal(1, 3, 4, 5), g.normal(2, 1, 6, 5), g.normal(2, 3, 6, 7))
    yield S(g.normal(2, 6, 4, 5), g.normal(2, 3, 6, 5), g.normal(2, 2, 6, 7), enable_gqa=True)
    yield S(g.normal(6, 4, 5), g.normal(1, 6, 5), g.normal(6, 6, 7), None, 0.0, True, enable_gqa=True)


def _errors(g: Draw) -> Iterator[Error]:
    q, k, v = _qkv(g, (2, 3))
    kind = RuntimeError
    yield Error(S(q, k[..., :4], v), kind, r"5 features but key has 4 .*query \(2, 3, 4, 5\), key \(2, 3, 6, 4\)")
    yield Error(S(q, k, v[:, :, :5]), kind, "key has 6 positions but value has 5")
    yield Error(S(q, k[:, :2], v), kind, r"query \(2, 3, 4, 5\), key \(2, 2, 6, 5\).*do not broadcast")
    yield Error(S(q, k, np.concatenate([v, v], 1)), kind, r"value \(2, 6, 6, 7\) do not broadcast")
    yield Error(S(q[0, 0, 0], k, v), kind, r"at least 2 dimensional.*query \(5,\)")
    yield Error(S(q, k.astype(np.float32), v), kind, "same dtype.*float64.*float32")
    yield Error(S(*(x.astype(np.int64) for x in (q, k, v))), kind, "expected scalar type Float.*int64")
    yield Error(S(q, k, v, np.ones((4, 6), np.int64)), kind, "attn_mask.dtype: .*int64")
    small = (x.astype(np.float32) for x in (q, k, v))
    yield Error(S(*small, np.ones((4, 6))), kind, "attn_mask.dtype: .*float64 and query.dtype: .*float32")
    yield Error(S(q, k, v, np.ones(6, bool)), IndexError, r"attn_mask.*\(6,\)")
    yield Error(S(q, k, v, np.ones((5, 6), bool)), kind, r"mask \(5, 6\) does not broadcast.*scores \(2, 3, 4, 6\)")
    yield Error(S(q[:1], k[:1], v[:1], np.ones((2, 1, 4, 6), bool)), kind, r"mask \(2, 1, 4, 6\)")
    yield Error(S(q, k, v, np.ones((4, 6), bool), is_causal=True), kind, "attn_mask should not be set when is_causal")
    yield Error(S(q, k, v, None, 1.5), kind, "between 0 and 1, but got 1.5")
    yield Error(S(q, k[:, :2], v[:, :2], enable_gqa=True), kind, "must divide.*key has 2, query 3")
    yield Error(S(q[0, 0], k[0, 0], v[0, 0], enable_gqa=True), IndexError, "dimension -3")
    yield Error(S(1.0, k, v), TypeError, "query must be a Tensor")


def _length(q: Any, k: Any, *rest: Any, **kwargs: Any) -> int:
    return max(2, q.shape[-1] * k.shape[-2])


CASES = {
    "scaled_dot_product_attention": Case(
        reference.scaled_dot_product_attention,
        _samples,
        _errors,
        lambda g: S(*_qkv(g, (4, 8), (64, 96, 64, 64))),
        call=lambda T, *args, **kwargs: T.nn.functional.scaled_dot_product_attention(*args, **kwargs),
        length=_length,
        factor=4,
        fixed_order=False,  # with one query, it is a matrix times a vector
    ),
}
