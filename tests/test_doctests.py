# SPDX-License-Identifier: BSD-3-Clause
"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import pydl
from pydl._core import dispatch

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def module_names() -> list[str]:
    names = [m.name for m in pkgutil.walk_packages(pydl.__path__, "pydl.") if not m.name.endswith("__main__")]
    return ["pydl", *names]


def examples_of(module: Any) -> Iterator[doctest.DocTest]:
    """Those that doctest finds by itself, and those of compiled functions and operations, which it overlooks."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {test.name: test for test in finder.find(module)}
    for name, value in vars(module).items():
        if f"{module.__name__}.{name}" not in found and getattr(value, "__module__", None) == module.__name__:
            doc = inspect.getdoc(value)
            if doc and ">>>" in doc:
                parser = doctest.DocTestParser()
                found[name] = parser.get_doctest(doc, {}, f"{module.__name__}.{name}", None, 0)
    return iter([test for test in found.values() if test.examples])


def run(test: doctest.DocTest) -> None:
    out: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test, out=out.append)
    assert runner.failures == 0, "".join(out)


@pytest.mark.parametrize("name", module_names())
def test_examples(name: str) -> None:
    for test in examples_of(importlib.import_module(name)):
        run(test)


def public() -> list[str]:
    """Operations that users call by name; the others are steps of these."""
    places = (pydl, pydl.nn.functional, pydl.Tensor)
    return sorted(name for name in dispatch.registry if any(hasattr(place, name) for place in places))


@pytest.mark.parametrize("name", public())
def test_every_operation_has_an_example_that_runs(name: str) -> None:
    doc = inspect.getdoc(dispatch.registry[name])
    assert doc and ">>>" in doc, f"{name} has no example"
    run(doctest.DocTestParser().get_doctest(doc, {}, name, None, 0))
