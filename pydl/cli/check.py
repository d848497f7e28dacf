# SPDX-License-Identifier: BSD-3-Clause
"""`pydl check script.py`: which of the torch names in a script pydl does not cover, where, and what is nearest."""

from __future__ import annotations

import argparse
import ast
import tokenize
from collections.abc import Sequence

from pydl.cli.names import Names
from pydl.cli.refusal import Commands, Refusal

__all__ = ["Use", "add", "uses"]

COMMAND = "pydl check"
ROOTS = ("torch", "pydl")
Use = tuple[int, str]  # line number, dotted name from the root: (12, "torch.nn.Linear")


def add(commands: Commands) -> None:
    """Declare the command and its arguments."""
    p = commands.add_parser(
        "check",
        help="list the torch names in a script that pydl does not cover",
        description="Reads scripts written for torch or pydl, without running them, and lists the names that pydl does"
        " not cover. Exit code 0: all are covered; 1: some are not. Methods of tensors and modules (x.name()) and"
        " arguments are not looked at.",
    )
    p.add_argument("scripts", nargs="+", metavar="script", help="a Python file")
    p.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Check every script; 1 if any uses a name that is not covered."""
    trees = [(script, _parse(script)) for script in options.scripts]
    names = Names()
    return max([_report(script, uses(tree), names) for script, tree in trees])


def _parse(script: str) -> ast.Module:
    try:
        with tokenize.open(script) as file:  # honours the file's coding line
            return ast.parse(file.read(), script)
    except OSError as error:
        raise Refusal(f"{script}: {error.strerror or error}", COMMAND) from None
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise Refusal(f"{script}: {where}not Python: {error.msg}", COMMAND) from None
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{script}: not Python: {error}", COMMAND) from None


def _report(script: str, found: Sequence[Use], names: Names) -> int:
    missing: dict[str, list[int]] = {}
    for line, name in found:
        part = names.first_missing(name)
        if part is not None and line not in missing.setdefault(part, []):
            missing[part].append(line)
    n_used = len({name for _, name in found})
    if not missing:
        print(f"{script}: {n_used} torch names used, all covered" if n_used else f"{script}: no torch names used")
        return 0
    print(f"{script}: {n_used} torch names used, not covered: {len(missing)}")
    width = max(len(name) for name in missing)
    for name, lines in sorted(missing.items(), key=lambda item: item[1]):
        where = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
        print(f"  {name:{width}}  {where}; nearest covered: {names.nearest(name) or 'none'}")
    return 1


def uses(tree: ast.Module) -> list[Use]:
    """Every use of a name that comes from torch or pydl, in the order of the lines."""
    finder = _Finder()
    finder.visit(tree)
    finder.visit_deferred()
    return sorted(set(finder.found))


class _Finder(ast.NodeVisitor):
    """Follows what each name is bound to: `import torch.nn.functional as F` makes `known["F"]` "torch.nn.functional".

    Bodies of functions are visited after what surrounds them, because that is when they run.
    """

    def __init__(self) -> None:
        self.found: list[Use] = []
        self.known: dict[str, str] = {}
        self._deferred: list[tuple[ast.AST, dict[str, str], list[ast.AST]]] = []

    def visit_deferred(self) -> None:
        """Visit the bodies of functions, and of functions in them."""
        while self._deferred:
            arguments, known, body = self._deferred.pop(0)
            self.known = dict(known)
            for node in ast.walk(arguments):
                if isinstance(node, ast.arg):
                    self.known.pop(node.arg, None)
            for node in body:
                self.visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for item in node.names:
            root = item.name.partition(".")[0]
            if root in ROOTS:
                self.found.append((node.lineno, item.name))
                self.known[item.asname or root] = item.name if item.asname else root
            else:
                self.known.pop(item.asname or root, None)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        covered = node.module is not None and node.level == 0 and node.module.partition(".")[0] in ROOTS
        if covered:
            self.found.append((node.lineno, str(node.module)))
        for item in node.names:
            if covered and item.name != "*":
                self.found.append((item.lineno, f"{node.module}.{item.name}"))
                self.known[item.asname or item.name] = f"{node.module}.{item.name}"
            else:
                self.known.pop(item.asname or item.name, None)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = self._dotted(node)
        if name is None:
            self.generic_visit(node)
        else:
            self.found.append((node.lineno, name))

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.known.pop(node.id, None)
        elif node.id in self.known and "." in self.known[node.id]:
            self.found.append((node.lineno, self.known[node.id]))

    def visit_Call(self, node: ast.Call) -> None:
        """`getattr(torch.nn, "Linear")` uses a name as well."""
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) > 1:
            base, name = self._dotted(node.args[0]), node.args[1]
            if base and isinstance(name, ast.Constant) and isinstance(name.value, str):
                self.found.append((node.lineno, f"{base}.{name.value}"))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        name = self._dotted(node.value)
        for target in node.targets:
            self.visit(target)
            if name is not None and isinstance(target, ast.Name):
                self.known[target.id] = name

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        for part in (node.iter, node.target, *node.body, *node.orelse):
            self.visit(part)

    visit_AsyncFor = visit_For

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outside = [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]
        for part in outside:  # defaults, annotations
            self.visit(part)
        self.known.pop(node.name, None)
        self._deferred.append((node.args, self.known, list(node.body)))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self._deferred.append((node.args, self.known, [node.body]))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """What the body binds does not reach its methods, so it gets a copy, and its methods the surroundings."""
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        around, n_deferred = self.known, len(self._deferred)
        self.known = dict(around)
        for part in node.body:
            self.visit(part)
        self.known = around
        self._deferred[n_deferred:] = [(a, around, body) for a, _, body in self._deferred[n_deferred:]]
        self.known.pop(node.name, None)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        around = self.known
        self.known = dict(around)
        for loop in node.generators:
            for part in (loop.iter, loop.target, *loop.ifs):
                self.visit(part)
        for part in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
            self.visit(part)
        self.known = around

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    def _dotted(self, node: ast.expr) -> str | None:
        """The full name of a chain of attributes that begins at a known name, else None."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.known:
            return None
        return ".".join([self.known[node.id], *reversed(parts)])
