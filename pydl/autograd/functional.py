# SPDX-License-Identifier: BSD-3-Clause
"""Derivatives of functions of Tensors: `vjp`, `jvp`, `jacobian`, `hessian`, `vhp`, `hvp`.

All use the reverse mode; `jvp` and `hvp` differentiate a vector-Jacobian product once more with respect to its vector.
With one Tensor in, or out, the results are Tensors, else tuples (of tuples).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pydl._core import dispatch, engine, tape
from pydl.autograd.grad_mode import enable_grad
from pydl.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


Tensors = tuple[Tensor, ...]


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(f(x), vᵀJ) with J = ∂f/∂x.

    Shapes: v as f(x); it may be left out for a result of one element. vᵀJ as x.

    Source: torch.autograd.functional.vjp.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([1., 2.])
        >>> pydl.autograd.functional.vjp(lambda x: x * x, x, pydl.tensor([1., 10.]))
        (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    call = _Call("vjp", func, inputs, create_graph, strict)
    with enable_grad():
        cotangents = _vector("vjp", "v", v, call.outputs, create_graph, call.single_out)
        result = call.gradients(call.outputs, cotangents, create_graph)
    return call.outputs_like(call.finish(call.outputs)), call.inputs_like(call.finish(result))


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(f(x), J v) with J = ∂f/∂x: the derivative of wᵀJ v with respect to w.

    Shapes: v as x; it may be left out for an input of one element. J v as f(x).

    Source: torch.autograd.functional.jvp.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([1., 2.])
        >>> pydl.autograd.functional.jvp(lambda x: x * x, x, pydl.tensor([1., 10.]))
        (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    call = _Call("jvp", func, inputs, create_graph, strict)
    with enable_grad():
        tangents = _vector("jvp", "v", v, call.inputs, create_graph, call.single_in)
        result = call.push_forward(call.outputs, tangents, create_graph)
    return call.outputs_like(call.finish(call.outputs)), call.outputs_like(call.finish(result))


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """J[o..., i...] = ∂f(x)[o...] / ∂x[i...], one backward pass per element of f(x).

    Shapes: (*shape of f(x), *shape of x); for several inputs or outputs tuples of these, outputs outermost.

    Errors: NotImplementedError for `strategy="forward-mode"`. `vectorize` is accepted and changes nothing.

    Source: torch.autograd.functional.jacobian.

    Example:
        >>> import pydl
        >>> pydl.autograd.functional.jacobian(lambda x: x * x, pydl.tensor([1., 2.]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(f'jacobian: strategy must be "reverse-mode" or "forward-mode", not {strategy!r}')
    if strategy == "forward-mode":
        raise NotImplementedError('jacobian: pydl differentiates in reverse mode only; use strategy="reverse-mode"')
    call = _Call("jacobian", func, inputs, create_graph, strict)
    with enable_grad():
        blocks = [call.inputs_like(call.finish(call.jacobian_of(out, create_graph))) for out in call.outputs]
    return call.outputs_like(tuple(blocks))


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """H[i..., j...] = ∂²f(x) / ∂x[i...]∂x[j...] of a function with one result of one element.

    Shapes: (*shape of x, *shape of x); for several inputs a tuple of tuples.

    Source: torch.autograd.functional.hessian.

    Example:
        >>> import pydl
        >>> pydl.autograd.functional.hessian(lambda x: (x ** 3).sum(), pydl.tensor([1., 2.]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    single = isinstance(inputs, Tensor)

    def slope(*args: Tensor) -> Any:
        call = _Call("hessian", func, args, True, strict, fresh=False)
        return call.gradients(call.scalar("hessian"), _ones(call.outputs), True)

    result = jacobian(slope, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return result[0] if single else result


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(f(x), vᵀH) with the Hessian H of a function with one result of one element.

    Shapes: v and vᵀH as x.

    Source: torch.autograd.functional.vhp.

    Example:
        >>> import pydl
        >>> pydl.autograd.functional.vhp(lambda x: (x ** 3).sum(), pydl.tensor([1., 2.]), pydl.tensor([1., 1.]))
        (tensor(9.), tensor([ 6., 12.]))
    """
    call = _Call("vhp", func, inputs, create_graph, strict)
    with enable_grad():
        vector = _vector("vhp", "v", v, call.inputs, create_graph, call.single_in)
        slopes = call.gradients(call.scalar("vhp"), _ones(call.outputs), True)
        result = call.gradients(slopes, vector, create_graph)
    return call.outputs_like(call.finish(call.outputs)), call.inputs_like(call.finish(result))


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(f(x), H v) with the Hessian H of a function with one result of one element; `vhp` is the cheaper one.

    Shapes: v and H v as x.

    Source: torch.autograd.functional.hvp.

    Example:
        >>> import pydl
        >>> pydl.autograd.functional.hvp(lambda x: (x ** 3).sum(), pydl.tensor([1., 2.]), pydl.tensor([1., 1.]))
        (tensor(9.), tensor([ 6., 12.]))
    """
    call = _Call("hvp", func, inputs, create_graph, strict)
    with enable_grad():
        vector = _vector("hvp", "v", v, call.inputs, create_graph, call.single_in)
        slopes = call.gradients(call.scalar("hvp"), _ones(call.outputs), True)
        result = call.push_forward(slopes, vector, create_graph)
    return call.outputs_like(call.finish(call.outputs)), call.inputs_like(call.finish(result))


class _Call:
    """One evaluation of the function on fresh aliases of its inputs, and products with its Jacobian."""

    def __init__(
        self, name: str, func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool, fresh: bool = True
    ) -> None:
        self.name, self.create_graph, self.strict = name, create_graph, strict
        given, self.single_in = _as_tuple(name, "inputs", inputs)
        with enable_grad():
            self.inputs = tuple(_alias(x, create_graph) for x in given) if fresh else given
            self.outputs, self.single_out = _as_tuple(name, "outputs of the user-provided function", func(*self.inputs))
        if strict:
            for i, out in enumerate(self.outputs):
                if not out.requires_grad:
                    raise RuntimeError(
                        f"{name}: Output {i} of the user-provided function does not require gradients. The outputs "
                        "must "
                        "be computed in a differentiable manner from the input when running in strict mode."
                    )

    def gradients(
        self, outputs: Tensors, cotangents: Tensors, create_graph: bool, inputs: Tensors | None = None
    ) -> Tensors:
        """Σ_o v_oᵀ ∂y_o/∂x for each x; zeros where there is no dependence."""
        wanted = self.inputs if inputs is None else inputs
        pairs = [(o, v) for o, v in zip(outputs, cotangents, strict=True) if o.requires_grad]
        if pairs:
            roots, given = zip(*pairs, strict=True)
            grads = engine.backward(roots, given, True, create_graph, wanted, True, False)
        else:
            grads = (None,) * len(wanted)
        if self.strict and any(g is None for g in grads):
            i = next(i for i, g in enumerate(grads) if g is None)
            raise RuntimeError(
                f"{self.name}: the result of the user-provided function is independent of input {i}. "
                f"This is not allowed in strict mode."
            )
        return tuple(_zeros(x) if g is None else g for x, g in zip(wanted, grads, strict=True))

    def push_forward(self, outputs: Tensors, tangents: Tensors, create_graph: bool) -> Tensors:
        """J v: w ↦ wᵀJ is linear, so its derivative along v does not depend on the w it is taken at."""
        dual = tuple(_zeros(o).requires_grad_() for o in outputs)
        rows = self.gradients(outputs, dual, True)
        return self.gradients(rows, tangents, create_graph, dual)

    def jacobian_of(self, out: Tensor, create_graph: bool) -> Tensors:
        rows = []
        for k in range(out.numel()):
            unit = np.zeros(out.shape, out.array.dtype)
            unit.reshape(-1)[k] = 1.0
            rows.append(self.gradients((out,), (tape.wrap(unit),), create_graph))
        return tuple(_stack([row[i] for row in rows], out, x, create_graph) for i, x in enumerate(self.inputs))

    def scalar(self, name: str) -> Tensors:
        if not self.single_out:
            raise RuntimeError(f"The function given to {name} should return a single Tensor")
        if self.outputs[0].numel() != 1:
            raise RuntimeError(
                f"The Tensor returned by the function given to {name} should contain a single element, "
                f"not {tuple(self.outputs[0].shape)}"
            )
        return self.outputs

    def finish(self, tensors: Tensors) -> Tensors:
        return tensors if self.create_graph else tuple(t.detach() for t in tensors)

    def inputs_like(self, values: tuple[Any, ...]) -> Any:
        return values[0] if self.single_in else values

    def outputs_like(self, values: tuple[Any, ...]) -> Any:
        return values[0] if self.single_out else values


def _as_tuple(name: str, what: str, value: Any) -> tuple[Tensors, bool]:
    single = isinstance(value, Tensor)
    values = (value,) if single else tuple(value) if isinstance(value, list | tuple) else None
    if values is None:
        raise TypeError(
            f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the given "
            f"{what} has type {type(value).__name__}."
        )
    for i, x in enumerate(values):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the value "
                f"at index {i} has type {type(x).__name__}."
            )
    return values, single


def _alias(x: Tensor, create_graph: bool) -> Tensor:
    """The same values under a new node: part of the caller's graph if a graph is wanted, else a leaf."""
    if create_graph and x.requires_grad:
        return x.view_as(x)
    return x.detach().requires_grad_()


def _vector(name: str, what: str, v: Any, like: Tensors, create_graph: bool, single: bool) -> Tensors:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            place = "the function returns" if name == "vjp" else "the input to the function is"
            raise RuntimeError(f"The vector {what} can only be None if {place} a single Tensor with a single element.")
        return _ones(like)
    values, _ = _as_tuple(name, what, v)
    if len(values) != len(like):
        raise RuntimeError(f"{name}: {what} has {len(values)} tensors, but {len(like)} are needed")
    for i, (a, b) in enumerate(zip(values, like, strict=True)):
        if a.shape != b.shape:
            raise RuntimeError(f"{name}: {what}[{i}] has shape {tuple(a.shape)}, but {tuple(b.shape)} is needed")
    return values if create_graph else tuple(a.detach() for a in values)


def _ones(like: Tensors) -> Tensors:
    return tuple(tape.wrap(np.ones(t.shape, t.array.dtype)) for t in like)


def _zeros(like: Tensor) -> Tensor:
    return tape.wrap(np.zeros(like.shape, like.array.dtype))


def _stack(rows: list[Tensor], out: Tensor, x: Tensor, create_graph: bool) -> Tensor:
    """Rows of a Jacobian under each other, shaped (*out, *x)."""
    shape = (*out.shape, *x.shape)
    if not create_graph or not rows:
        data = np.empty((len(rows), *x.shape), x.array.dtype)
        for k, row in enumerate(rows):
            data[k] = row.array
        return tape.wrap(data.reshape(shape))
    return dispatch.registry["stack"](rows, 0).reshape(shape)
