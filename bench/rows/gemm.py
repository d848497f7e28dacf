# SPDX-License-Identifier: BSD-3-Clause
"""Matrix products C (M, N) = A (M, K) · B (K, N)."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal


def _torch(torch: Any, a: np.ndarray, b: np.ndarray) -> Way:
    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    return lambda: ta @ tb


def _jax(jax: Any, a: np.ndarray, b: np.ndarray) -> Way:
    ja, jb = jax.numpy.asarray(a), jax.numpy.asarray(b)
    product = jax.jit(jax.numpy.matmul)
    return lambda: product(ja, jb).block_until_ready()


def _onnxruntime(ort: Any, a: np.ndarray, b: np.ndarray) -> Way:
    """B is a constant of the model, so the runtime packs it once, beforehand."""
    helper, numpy_helper = import_module("onnx.helper"), import_module("onnx.numpy_helper")
    kind = helper.np_dtype_to_tensor_dtype(a.dtype)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", kind, a.shape)],
        [helper.make_tensor_value_info("c", kind, (a.shape[0], b.shape[1]))],
        [numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    options = ort.SessionOptions()
    options.intra_op_num_threads = ort.bench_threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a})[0]


def gemm(m: int, k: int, n: int, dtype: str = "float32", goal: Mapping[int, float] | None = None) -> Row:
    """Return the row of one product."""

    def data(rng: np.random.Generator) -> Data:
        return {"a": normal(rng, (m, k), dtype), "b": normal(rng, (k, n), dtype)}

    ways: dict[str, Way] = {
        "torch": _torch,
        "numpy": lambda np, a, b: lambda: a @ b,
        "jax": _jax,
        "onnxruntime": _onnxruntime,
    }
    tolerance = float(np.finfo(dtype).eps) * k**0.5
    name = f"gemm {dtype} {m}x{k}x{n}"
    size = np.dtype(dtype).itemsize
    streamed = size * k * n if m == 1 else 0
    return Row(name, data, lambda a, b: a @ b, ways, tolerance, dtype, 1, 2.0 * m * n * k, streamed, goal or {})


def rows() -> list[Row]:
    """Return squares of both types and the shapes of small training batches."""
    goals = {64: 0.95, 128: 0.95, 256: 0.95}
    squares = [
        gemm(n, n, n, dtype, {1: goals.get(n, 1.0), 2: goals.get(n, 1.0)})
        for dtype in ("float32", "float64")
        for n in (64, 128, 256, 512, 1024, 2048)
    ]
    batches = [gemm(m, k, n, goal={1: 0.9, 2: 0.9}) for m, k, n in ((64, 784, 256), (32, 256, 1024), (1, 1024, 1024))]
    return squares + batches
