# SPDX-License-Identifier: BSD-3-Clause
"""The cost of an operation itself: 4×4 operands, recorded for backward in pydl and PyTorch."""

from typing import Any

import numpy as np

from bench.row import Data, Row, Statement, Way, normal

CHAIN = 50  # pairs of operations


def _data(rng: np.random.Generator) -> Data:
    return {name: normal(rng, (4, 4)) for name in ("a", "b")}


def tiny(name: str, code: str, plain: str) -> Row:
    """One recorded operation, written as Python in `code` over a and b; `plain` is NumPy's text for it."""

    def torch_way(torch: Any, a: np.ndarray, b: np.ndarray) -> Statement:
        ta, tb = torch.from_numpy(a).requires_grad_(), torch.from_numpy(b)
        return Statement(code, {"a": ta, "b": tb, "relu": torch.relu})

    def numpy_way(np: Any, a: np.ndarray, b: np.ndarray) -> Statement:
        return Statement(plain, {"a": a, "b": b, "maximum": np.maximum})

    def reference(a: np.ndarray, b: np.ndarray) -> Any:
        return eval(plain, {"a": a, "b": b, "maximum": np.maximum})

    ways: dict[str, Way] = {"torch": torch_way, "numpy": numpy_way}
    return Row(f"tiny {name} 4x4", _data, reference, ways, 5e-7, at_most=0.20e-6, threads=(1,))


def module_call(name: str, module: str, operation: str, plain: Way) -> Row:
    """What calling a Module costs above the operation that it calls."""

    def torch_way(torch: Any, a: np.ndarray, b: np.ndarray) -> Statement:
        m = getattr(torch.nn, module)(*((4, 4) if module == "Linear" else ()))
        names: dict[str, Any] = {"x": torch.from_numpy(a).requires_grad_(), "m": m}
        if module == "Linear":
            with torch.no_grad():
                m.weight.copy_(torch.from_numpy(b))
                m.bias.copy_(torch.from_numpy(b[0].copy()))
            names |= {"w": m.weight, "b": m.bias}
        names["f"] = getattr(torch.nn.functional, name)
        return Statement("m(x)", names, minus=operation)

    ways: dict[str, Way] = {"torch": torch_way}
    return Row(f"Module call above {name} 4x4", _data, plain, ways, 5e-7, at_most=0.5e-6, threads=(1,))


def chain() -> Row:
    """Forward and backward of x ← x · a + b, repeated: 100 recorded operations on 4×4."""

    def torch_way(torch: Any, a: np.ndarray, b: np.ndarray) -> Way:
        x, dy = torch.from_numpy(a).requires_grad_(), torch.ones(4, 4)
        scale, shift = torch.from_numpy(np.tanh(b)), torch.from_numpy(b)

        def step() -> tuple[Any, Any]:
            x.grad = None
            y = x
            for _ in range(CHAIN):
                y = y * scale + shift
            y.backward(dy)
            return y, x.grad

        return step

    def plain(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = np.tanh(b.astype("float32")).astype(b.dtype)
        y, dx = a, np.ones_like(a)
        for _ in range(CHAIN):
            y, dx = y * scale + b, dx * scale
        return y, dx

    ways: dict[str, Way] = {"torch": torch_way, "numpy": lambda np, a, b: lambda: plain(a, b)}
    return Row(f"chain of {2 * CHAIN} tiny ops fwd+bwd", _data, plain, ways, 1e-5, goal={1: 10.0}, threads=(1,))


def own_module() -> Row:
    """What calling a module of one's own costs above the operation in its `forward`."""

    def torch_way(torch: Any, a: np.ndarray, b: np.ndarray) -> Statement:
        class Own(torch.nn.Module):
            def forward(self, x: Any) -> Any:
                return torch.relu(x)

        names = {"x": torch.from_numpy(a).requires_grad_(), "m": Own(), "f": torch.relu}
        return Statement("m(x)", names, minus="f(x)")

    ways: dict[str, Way] = {"torch": torch_way}
    name, answer = "own Module call above relu 4x4", lambda a, b: np.maximum(a, 0)
    return Row(name, _data, answer, ways, 5e-7, at_most=0.5e-6, threads=(1,))


def zero_grad() -> Row:
    """Filling the gradients of 20 small tensors with zeros; dropping them is cheaper still."""

    def torch_way(torch: Any, p: list[np.ndarray]) -> Way:
        parameters = [torch.nn.Parameter(torch.from_numpy(v)) for v in p]
        for parameter in parameters:
            parameter.grad = torch.ones(16)
        gradients = [parameter.grad for parameter in parameters]
        optimizer = torch.optim.SGD(parameters, lr=1e-4)

        def step() -> list[Any]:
            optimizer.zero_grad(set_to_none=False)
            return gradients

        return step

    def numpy_way(np: Any, p: list[np.ndarray]) -> Way:
        gradients = [np.ones_like(v) for v in p]

        def step() -> list[np.ndarray]:
            for gradient in gradients:
                gradient.fill(0)
            return gradients

        return step

    ways: dict[str, Way] = {"torch": torch_way, "numpy": numpy_way}
    return Row(
        "zero_grad to zeros 20x16", lambda rng: {"p": [normal(rng, 16) for _ in range(20)]},
        lambda p: [[np.zeros_like(v) for v in p]], ways, 0, at_most=3e-6, threads=(1,),
    )  # fmt: skip


def loader() -> Row:
    """A pass through a data set of 640 rows of 20 numbers with their classes, in order, in batches of 64."""

    def torch_way(torch: Any, x: np.ndarray, t: np.ndarray) -> Way:
        data = torch.utils.data
        batches = data.DataLoader(data.TensorDataset(torch.from_numpy(x), torch.from_numpy(t)), batch_size=64)
        return lambda: [part for batch in batches for part in batch]

    def numpy_way(np: Any, x: np.ndarray, t: np.ndarray) -> Way:
        order = np.arange(len(x))
        return lambda: [a[order[i : i + 64]] for i in range(0, len(x), 64) for a in (x, t)]

    def reference(x: np.ndarray, t: np.ndarray) -> Any:
        return [numpy_way(np, x, t)()]

    def data(rng: np.random.Generator) -> Data:
        return {"x": normal(rng, (640, 20)), "t": rng.integers(0, 5, 640)}

    ways: dict[str, Way] = {"torch": torch_way, "numpy": numpy_way}
    return Row("DataLoader 10 batches of 64x20", data, reference, ways, 0, threads=(1,))


def rows() -> list[Row]:
    """Return the rows of call costs."""
    return [
        tiny("add", "a + b", "a + b"),
        tiny("relu", "relu(a)", "maximum(a, 0)"),
        tiny("matmul", "a @ b", "a @ b"),
        module_call("relu", "ReLU", "f(x)", lambda a, b: np.maximum(a, 0)),
        module_call("linear", "Linear", "f(x, w, b)", lambda a, b: a @ b.T + b[0]),
        own_module(),
        chain(),
        zero_grad(),
        loader(),
    ]
