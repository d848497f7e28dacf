# SPDX-License-Identifier: BSD-3-Clause
"""Reverse-mode differentiation: `backward`, `grad`, custom `Function`s, gradient checks and functional derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pydl._core import engine, tape
from pydl._core.tape import is_grad_enabled
from pydl.autograd import function, graph
from pydl.autograd.function import Function
from pydl.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from pydl.tensor import Tensor

if TYPE_CHECKING:
    from pydl.autograd import functional as functional
    from pydl.autograd.gradcheck import GradcheckError as GradcheckError
    from pydl.autograd.gradcheck import gradcheck as gradcheck
    from pydl.autograd.gradcheck import gradgradcheck as gradgradcheck
    from pydl.autograd.gradcheck_module import gradcheck_module as gradcheck_module

__all__ = [
    "Function",
    "GradcheckError",
    "backward",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradcheck_module",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_grad_enabled",
]

# Loaded when they are first used: name -> module.
_LATER = {
    "functional": "pydl.autograd.functional",
    "GradcheckError": "pydl.autograd.gradcheck",
    "gradcheck": "pydl.autograd.gradcheck",
    "gradgradcheck": "pydl.autograd.gradcheck",
    "gradcheck_module": "pydl.autograd.gradcheck_module",
}

if not TYPE_CHECKING:  # type checkers know the names above

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module 'pydl.autograd' has no attribute {name!r}")
        from importlib import import_module

        module = import_module(_LATER[name])
        # Importing a submodule binds its name here; a function of the same name takes that place.
        for later, home in _LATER.items():
            if home == _LATER[name]:
                globals()[later] = getattr(module, later, module)
        return globals()[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])


Tensors = Tensor | Sequence[Tensor]


def backward(
    tensors: Tensors,
    grad_tensors: Tensors | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Tensors | None = None,
) -> None:
    """Adds d(Σ_i ⟨g_i, t_i⟩)/dx to `.grad` of every leaf x in the graph of the tensors t_i (or of `inputs` only).

    Shapes: each g_i as its t_i; it may be left out for a t_i of one element, where it is 1.

    Gradient: recorded itself with `create_graph=True`.

    Errors: RuntimeError for a missing or misshapen g_i, for tensors without a graph, and for a second pass without
    `retain_graph`.

    Source: torch.autograd.backward.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([1., 2.], requires_grad=True)
        >>> pydl.autograd.backward([(x * x).sum(), x.sum()])
        >>> x.grad
        tensor([3., 5.])
    """
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError("backward: give 'grad_tensors' or its old name 'grad_variables', not both")
        grad_tensors = grad_variables
    roots = _as_tuple(tensors)
    wanted = None if inputs is None else _as_tuple(inputs)
    if wanted is not None and not wanted:
        raise RuntimeError("backward: `inputs` argument to `backward()` cannot be empty.")
    given = _make_grads(roots, grad_tensors)
    keep = create_graph if retain_graph is None else retain_graph
    engine.backward(roots, given, keep, create_graph, wanted, True, True)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensors | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """d(Σ_i ⟨g_i, y_i⟩)/dx_j for the outputs y_i and every input x_j, without touching any `.grad`.

    Shapes: each g_i as its y_i; it may be left out for a y_i of one element, where it is 1. The results are as the x_j.

    Gradient: recorded itself with `create_graph=True`.

    Errors: RuntimeError for an input that was not used, unless `allow_unused` (then None, or zeros with
    `materialize_grads`); NotImplementedError for `is_grads_batched`.

    Source: torch.autograd.grad.

    Example:
        >>> import pydl
        >>> x = pydl.tensor(3., requires_grad=True)
        >>> g, = pydl.autograd.grad(x ** 2, x, create_graph=True)
        >>> pydl.autograd.grad(g, x)
        (tensor(2.),)
    """
    if is_grads_batched:
        raise NotImplementedError("grad: is_grads_batched needs vmap, which pydl does not cover; loop over the rows")
    if not only_inputs:
        raise ValueError("grad: only_inputs=False is not supported; use backward() to accumulate into the leaves")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "grad: Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    roots, wanted = _as_tuple(outputs), _as_tuple(inputs)
    if not wanted:
        raise ValueError("grad requires non-empty inputs.")
    given = _make_grads(roots, grad_outputs)
    unused = materialize_grads if allow_unused is None else allow_unused
    keep = create_graph if retain_graph is None else retain_graph
    result = engine.backward(roots, given, keep, create_graph, wanted, unused, False)
    if materialize_grads:
        result = tuple(
            tape.wrap(np.zeros(x.shape, x.array.dtype)) if g is None else g for g, x in zip(result, wanted, strict=True)
        )
    return tuple(result)


def _as_tuple(tensors: Any) -> tuple[Any, ...]:
    return (tensors,) if isinstance(tensors, Tensor) or tensors is None else tuple(tensors)


def _make_grads(roots: tuple[Tensor, ...], grads: Any) -> tuple[Tensor, ...]:
    """The cotangents: those given, checked, and ones where they may be left out."""
    given = (None,) * len(roots) if grads is None else _as_tuple(grads)
    if len(given) != len(roots):
        raise RuntimeError(f"autograd: got {len(roots)} tensors and {len(given)} gradients")
    result = []
    for i, (t, g) in enumerate(zip(roots, given, strict=True)):
        if not isinstance(t, Tensor):
            raise TypeError(f"autograd: element {i} of tensors is a {type(t).__name__}, not a Tensor")
        if g is None:
            if t.requires_grad and t.numel() != 1:
                raise RuntimeError(
                    f"grad can be implicitly created only for scalar outputs, not for the shape {tuple(t.shape)}"
                )
            g = tape.wrap(np.ones(t.shape, t.array.dtype))
        elif not isinstance(g, Tensor):
            raise TypeError(f"autograd: gradients can be either Tensors or None, but got {type(g).__name__}")
        elif g.shape != t.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {tuple(g.shape)} and output[{i}] "
                f"has a shape of {tuple(t.shape)}."
            )
        result.append(g)
    return tuple(result)
