# SPDX-License-Identifier: BSD-3-Clause
"""Every operation as the model of a plan: its Case's samples give what they give eagerly, or are refused by name."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import pydl
from pydl.inference import RecordingError
from tests.cases import CASES
from tests.harness import Draw, Sample, bind, each, leaves, rounded, tensors

# Not in every form: what is written in NumPy outside of a declared operation, or takes numbers out of an index or a
# mask, results whose sizes depend on values, random ones, statistics that change, and activations of integers.
REFUSED = {
    "all", "allclose", "alpha_dropout", "any", "argmax", "argmin", "argsort", "argwhere", "batch_norm", "bincount",
    "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "count_nonzero", "cross_entropy", "cross_entropy_rows",
    "mse_loss", "ctc_loss", "cumprod",
    "dropout", "dropout1d", "dropout2d", "dropout3d", "einsum", "embedding_bag", "equal", "erf", "erfc",
    "feature_alpha_dropout", "getitem", "hardtanh", "index", "index_adjoint", "index_put", "instance_norm", "isclose",
    "isfinite", "isin", "isinf", "isnan", "kthvalue", "logical_and", "logical_not", "logical_or", "logical_xor",
    "masked_select", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "max_pool3d",
    "max_pool3d_with_indices", "max_pool_backward", "max_pool_take", "median", "msort", "nll_loss", "nonzero",
    "one_hot", "relu6", "repeat_interleave", "scaled_dot_product_attention", "scatter", "softsign", "sort",
    "take_along_dim", "tanhshrink", "topk", "unique", "unique_consecutive",
}  # fmt: skip


def frozen(name: str, sample: Sample) -> str:
    """ "same", "none" without tensors, or why the sample was refused."""
    case = CASES[name]
    given, _ = tensors(pydl, sample)
    function = bind(pydl, name, case)
    inputs = [v for v in leaves([list(given.args), list(given.kwargs.values())]) if isinstance(v, pydl.Tensor)]
    if not inputs:
        return "none"

    def model(*tensors: Any) -> Any:
        rest = iter(tensors)

        def change(v: Any) -> Any:
            return next(rest) if isinstance(v, pydl.Tensor) else v

        args, kwargs = each(given.args, change), {k: each(v, change) for k, v in given.kwargs.items()}
        return function(*args, **kwargs)

    try:
        plan = pydl.freeze(model, tuple(inputs))
    except RecordingError as error:
        return str(error)
    got, want = list(leaves(plan(*inputs))), list(leaves(model(*inputs)))
    for a, b in zip(got, want, strict=True):
        if not isinstance(b, pydl.Tensor):
            assert a == b
            continue
        x, y = a.numpy(), b.numpy()
        assert x.dtype == y.dtype and x.shape == y.shape
        finite = np.isfinite(y) if y.dtype.kind == "f" else np.ones(y.shape, bool)
        assert np.array_equal(x[~finite], y[~finite], equal_nan=True)
        largest = np.max(np.abs(y[finite]), initial=0) if y.dtype.kind == "f" else 0
        bound = 16 * np.finfo(y.dtype).eps * largest if y.dtype.kind == "f" else 0
        assert np.all(np.abs(x[finite].astype(np.float64) - y[finite]) <= bound)
    return "same"


@pytest.mark.parametrize("name", CASES)
def test_an_operation_in_a_plan(name: str) -> None:
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for sample in CASES[name].samples(Draw(name)):
            for dtype in (np.float32, np.float64):
                pydl.manual_seed(0)
                said.append(frozen(name, rounded(sample, dtype)))
    refused = [why for why in said if why not in ("same", "none")]
    assert bool(refused) == (name in REFUSED), refused[:1]
    if name not in REFUSED:
        assert "same" in said or set(said) == {"none"}
