# SPDX-License-Identifier: BSD-3-Clause
"""`python -m tests.stubs` writes pydl/nn/functional.pyi from the operations themselves.

Type checkers take an operation declared as a class for that class, so they are told its signature: that of `check`, and
the result of `forward`. What is written in Cython has its types in the stubs of pydl/_core.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

from pydl.nn import functional

PYDL = Path(__file__).resolve().parent.parent / "pydl"
STUB = PYDL / "nn" / "functional.pyi"
# What the declarations call for short, and what users write.
WORDS = {"TensorBase": "Tensor", "Sizes": "Sequence[int]", "IntOrInts": "int | Sequence[int]", "Array": "Any"}
WIDTH = 120
HEAD = """# SPDX-License-Identifier: BSD-3-Clause
# Written by `python -m tests.stubs`.
from collections.abc import Sequence
from typing import Any

from pydl.tensor import Tensor
"""


def in_public(annotation: Any) -> str:
    """An annotation, which is text, in the users' words."""
    text = "Any" if annotation is inspect.Parameter.empty else str(annotation)
    return re.sub(r"\b\w+\b", lambda word: WORDS.get(word[0], word[0]), text)


def literal(value: Any) -> str:
    """A default value as it is written."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def compiled() -> dict[str, ast.FunctionDef]:
    """The functions in the stubs of the compiled core, by name."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((PYDL / "_core").glob("*.pyi"))]
    return {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def read_stub(node: ast.FunctionDef) -> tuple[list[str], str]:
    """Parameters and result of a function in a stub, where Any stands for a tensor."""
    missing = [None] * (len(node.args.args) - len(node.args.defaults))
    plain = zip(node.args.args, [*missing, *node.args.defaults], strict=True)
    named = list(zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True))
    words = []
    for arg, default in (*plain, *named):
        kind = in_public(ast.unparse(arg.annotation or ast.Name("Any"))).replace("Any", "Tensor")
        value = ast.literal_eval(default) if default else ...
        optional = " | None" if value is None and kind == "Tensor" else ""
        words.append(f"{arg.arg}: {kind}{optional}" + ("" if value is ... else f" = {literal(value)}"))
    if named:
        words.insert(len(node.args.args), "*")
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
        words.append(f"{p.name}: {in_public(p.annotation)}{default}")
    return words, in_public(result)


def declaration(name: str, words: list[str], result: str) -> str:
    """One function of the stub, on one line where that is short enough."""
    line = f"def {name}({', '.join(words)}) -> {result}: ..."
    if len(line) <= WIDTH:
        return line
    inside = f"    {', '.join(words)}"
    if len(inside) > WIDTH:
        inside = ",\n".join(f"    {word}" for word in words) + ","
    return f"def {name}(\n{inside}\n) -> {result}: ..."


def text() -> str:
    """The whole stub."""
    core, functions = compiled(), []
    for name in functional.__all__:
        function = getattr(functional, name)
        is_compiled = type(function).__name__ == "cython_function_or_method"
        functions.append(declaration(name, *(read_stub(core[name]) if is_compiled else read_function(function))))
    names = "".join(f'    "{name}",\n' for name in functional.__all__)
    return f"{HEAD}\n__all__ = [\n{names}]\n\n" + "\n".join(functions) + "\n"


if __name__ == "__main__":
    STUB.write_text(text(), encoding="utf-8")
    print(STUB.relative_to(PYDL.parent))
