# SPDX-License-Identifier: BSD-3-Clause
"""The written stubs say what the operations take; what a package offers is listed, there, and found by completion."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import pydl
import pydl.nn.functional as F
from tests import stubs

PACKAGES = (
    "pydl", "pydl.autograd", "pydl.inspect", "pydl.io", "pydl.models", "pydl.nn", "pydl.nn.functional", "pydl.nn.init",
    "pydl.nn.utils", "pydl.nn.utils.rnn", "pydl.ops", "pydl.optim", "pydl.optim.lr_scheduler", "pydl.text",
    "pydl.utils", "pydl.utils.data",
)  # fmt: skip


@pytest.mark.sources
@pytest.mark.parametrize("path", stubs.STUBS, ids=lambda p: p.relative_to(stubs.PYDL).as_posix())
def test_a_stub_is_what_the_operations_give(path):
    assert path.read_text(encoding="utf-8") == stubs.STUBS[path](), "python -m tests.stubs writes it anew"


@pytest.mark.parametrize("module", [F, pydl.ops], ids=lambda m: m.__name__)
def test_a_stub_says_what_the_functions_take(module):
    path = stubs.PYDL.parent / inspect.getfile(module)
    stub = ast.parse(path.with_suffix(".pyi").read_text(encoding="utf-8"))
    stubbed = {node.name: node.args for node in stub.body if isinstance(node, ast.FunctionDef)}
    assert set(module.__all__) <= set(stubbed)
    for name, args in stubbed.items():
        assert not args.posonlyargs
        function = getattr(module, name)
        if name.endswith("_") and "kwargs" in inspect.signature(function).parameters:
            function = getattr(module, name[:-1])  # a form in place passes its arguments on
        parameters = list(inspect.signature(function).parameters.values())
        stars = [args.vararg] if args.vararg else []
        assert [p.name for p in parameters] == [a.arg for a in args.args + stars + args.kwonlyargs], name
        assert [p.name for p in parameters if p.kind is p.KEYWORD_ONLY] == [a.arg for a in args.kwonlyargs], name
        defaults = [p.default for p in parameters if p.default is not p.empty]
        stated = args.defaults + [value for value in args.kw_defaults if value is not None]
        assert defaults == [ast.literal_eval(value) for value in stated], name


def test_all_is_there_and_found_by_completion():
    """In a process that has asked for no name yet, so that those which are loaded later must be known before."""
    code = (
        "import importlib\n"
        f"modules = [importlib.import_module(name) for name in {PACKAGES!r}]\n"
        "unknown = [(m.__name__, n) for m in modules for n in m.__all__ if n not in dir(m)]\n"
        "absent = [(m.__name__, n) for m in modules for n in m.__all__ if not hasattr(m, n)]\n"
        "twice = [m.__name__ for m in modules if len(set(m.__all__)) < len(m.__all__)]\n"
        "print(unknown, absent, twice)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=stubs.PYDL.parent)
    assert done.stdout.strip() == "[] [] []", done.stdout + done.stderr


def test_every_module_says_what_it_offers():
    """Public names of a module are those of its `__all__`; a module without one has no public names of its own."""
    silent = []
    for info in pkgutil.walk_packages(pydl.__path__, "pydl."):
        parts = info.name.split(".")
        if parts[1] in ("_core", "cli", "__main__") or parts[-1].startswith("_"):
            continue
        if not hasattr(importlib.import_module(info.name), "__all__"):
            silent.append(info.name)
    assert silent == []
