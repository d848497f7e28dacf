# SPDX-License-Identifier: BSD-3-Clause
"""`python -m tests.stubs` writes the stubs of nn.functional, of `pydl.ops` and of tensors' methods from the operations.

Type checkers take an operation declared as a class for that class, so they are told its signature: that of `check`, and
the result of `forward`. What is written in Cython has its types in the stubs of pydl/_core.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pydl import _methods, ops
from pydl.nn import functional
from pydl.ops import activations

PYDL = Path(__file__).resolve().parent.parent / "pydl"
# What the declarations call for short, and what users write.
WORDS = {
    "TensorBase": "Tensor", "Sizes": "Sequence[int]", "IntOrInts": "int | Sequence[int]", "Array": "Any",
    "Dims": "int | Iterable[int]", "Tensors": "Sequence[Tensor]",
}  # fmt: skip
C_WORDS = {None: "TensorBase", "double": "float", "bint": "bool", "str": "str"}
WIDTH = 120


def in_public(annotation: Any) -> str:
    """An annotation, which is text, in the users' words."""
    text = "Any" if annotation is inspect.Parameter.empty else str(annotation)
    return re.sub(r"\b\w+\b", lambda word: WORDS.get(word[0], word[0]), text)


def literal(value: Any) -> str:
    """A default value as it is written."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


@cache
def compiled() -> dict[tuple[str, str], ast.FunctionDef]:
    """The functions in the stubs of the compiled core, by module and name."""
    trees = {f"pydl._core.{p.stem}": ast.parse(p.read_text(encoding="utf-8")) for p in (PYDL / "_core").glob("*.pyi")}
    return {(m, f.name): f for m, tree in trees.items() for f in tree.body if isinstance(f, ast.FunctionDef)}


def stub_of(function: Any) -> ast.FunctionDef | None:
    """The stub of a function written in Cython."""
    return compiled().get((function.__module__, function.__name__)) if hasattr(function, "__module__") else None


def read_stub(node: ast.FunctionDef, unknown: str = "Tensor") -> tuple[list[str], str]:
    """Parameters and result of a function in a stub; `unknown` is what a parameter of any type is taken for."""
    missing = [None] * (len(node.args.args) - len(node.args.defaults))
    plain = zip(node.args.args, [*missing, *node.args.defaults], strict=True)
    named = list(zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True))
    words = []
    for arg, default in (*plain, *named):
        kind = in_public(ast.unparse(arg.annotation or ast.Name("Any"))).replace("Any", unknown)
        value = ast.literal_eval(default) if default else ...
        optional = " | None" if value is None and kind == "Tensor" else ""
        words.append(f"{arg.arg}: {kind}{optional}" + ("" if value is ... else f" = {literal(value)}"))
    at = len(node.args.args)
    if node.args.vararg:
        words.insert(at, f"*{node.args.vararg.arg}: Any")
    elif named:
        words.insert(at, "*")
    return words, in_public(ast.unparse(node.returns or ast.Name("Any"))).replace("Any", "Tensor")


def read_function(function: Any) -> tuple[list[str], str]:
    """Parameters and result of a function, or of a declared operation."""
    signature = inspect.signature(function)
    result = signature.return_annotation
    if hasattr(function, "forward"):
        result = inspect.signature(function.forward).return_annotation
    words, named = [], False
    for p in signature.parameters.values():
        if p.kind is p.KEYWORD_ONLY and not named:
            words.append("*")
            named = True
        default = "" if p.default is p.empty else f" = {literal(p.default)}"
        stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        named = named or p.kind is p.VAR_POSITIONAL
        words.append(f"{stars}{p.name}: {in_public(p.annotation)}{default}")
    return words, in_public(result)


def in_place(function: Any, name: str) -> tuple[list[str], str]:
    """Parameters and result of a form `name_` that takes what the operation `name` does and gives back its tensor."""
    operation = getattr(ops, name)
    stub = stub_of(operation)
    words, _ = read_stub(stub, "Any") if stub else read_function(operation)
    return words, "Tensor"


def read(function: Any, name: str, unknown: str = "Any") -> tuple[list[str], str]:
    """Parameters and result of any operation."""
    stub = stub_of(function)
    if stub:
        return read_stub(stub, unknown)
    if "kwargs" in inspect.signature(function).parameters:
        return in_place(function, function.__name__.rstrip("_"))
    return read_function(function)


def declaration(name: str, words: list[str], result: str, indent: str = "") -> str:
    """One function of the stub, on one line where that is short enough."""
    line = f"{indent}def {name}({', '.join(words)}) -> {result}: ..."
    if len(line) <= WIDTH:
        return line
    inside = f"{indent}    {', '.join(words)}"
    if len(inside) > WIDTH:
        inside = ",\n".join(f"{indent}    {word}" for word in words) + ","
    return f"{indent}def {name}(\n{inside}\n{indent}) -> {result}: ..."


def stub(offered: Iterable[str], body: list[str]) -> str:
    """A stub: its imports, `__all__`, and what is declared in it."""
    declared = "\n".join(body)
    imported = ", ".join(name for name in ("Iterable", "Sequence") if f"{name}[" in declared)
    names = "".join(f'    "{name}",\n' for name in offered)
    return (
        "# SPDX-License-Identifier: BSD-3-Clause\n# Written by `python -m tests.stubs`.\n"
        f"from collections.abc import {imported}\nfrom typing import Any\n\nfrom pydl.tensor import Tensor\n\n"
        f"__all__ = [\n{names}]\n\n{declared}\n"
    )


def of_functional() -> str:
    """The stub of nn.functional."""
    names = functional.__all__
    return stub(names, [declaration(name, *read(getattr(functional, name), name, "Tensor")) for name in names])


def of_ops() -> str:
    """The stub of pydl.ops: `__all__` and what its families offer besides."""
    names = sorted({name for family in (activations, *ops._MODULES) for name in family.__all__})
    functions = [declaration(name, *read(getattr(ops, name), name)) for name in names]
    return stub(ops.__all__, [*functions, "def of_networks() -> dict[str, Any]: ..."])


def of_activations() -> str:
    """The stub of the activations, read from their Cython: what has no C type is a tensor."""
    text = (PYDL / "_core" / "activation_functions.pyx").read_text(encoding="utf-8")
    functions = []
    for name, arguments in re.findall(r"^def ([a-z]\w*)\((.*)\):$", text, re.M):
        words = []
        for argument in arguments.split(", "):
            kind, what, default = re.fullmatch(r"(?:(\w+) )?([\w*]+)(?:=(.+))?", argument).groups()  # type: ignore[union-attr]
            words.append(what if what == "*" else f"{what}: {C_WORDS[kind]}" + (f" = {default}" if default else ""))
        functions.append(declaration(name, words, "TensorBase"))
    head = "# SPDX-License-Identifier: BSD-3-Clause\n# Written by `python -m tests.stubs`.\n"
    return f"{head}from pydl._core.tape import TensorBase\n\n" + "\n".join(functions) + "\n"


def of_methods() -> str:
    """The stub of the methods that are operations: their first argument is the tensor."""
    methods = []
    for name, function in vars(_methods.Operations).items():
        if callable(function):
            words, result = read(function, function.__name__)
            methods.append(declaration(name, ["self", *words[1:]], result, "    "))
    return stub(["Operations"], ["class Operations:", *methods])


STUBS: dict[Path, Callable[[], str]] = {
    PYDL / "_core" / "activation_functions.pyi": of_activations,  # first: the others read it
    PYDL / "nn" / "functional.pyi": of_functional,
    PYDL / "ops" / "__init__.pyi": of_ops,
    PYDL / "_methods.pyi": of_methods,
}

if __name__ == "__main__":
    for path, written in STUBS.items():
        path.write_text(written(), encoding="utf-8")
        print(path.relative_to(PYDL.parent))
