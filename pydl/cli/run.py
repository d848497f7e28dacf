# SPDX-License-Identifier: BSD-3-Clause
"""`pydl run script.py`: a script written for PyTorch runs on pydl, because `torch` means pydl in its process."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import runpy
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, TracebackType

from pydl.cli.refusal import Commands, Refusal

__all__ = ["add", "torch_is_pydl"]

COMMAND = "pydl run"


def add(commands: Commands) -> None:
    """Declare the command and its arguments."""
    p = commands.add_parser(
        "run",
        help="run a PyTorch script on pydl",
        description="Runs a script in a process where `import torch` gives pydl. Nothing outside the process changes."
        " `pydl check script.py` says beforehand which of its names are not covered.",
    )
    p.add_argument("script", help="the Python file")
    p.add_argument("arguments", nargs=argparse.REMAINDER, help="what the script gets as its own arguments")
    p.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run the script as `python script.py arguments...` would; its exit code is returned."""
    if not os.path.isfile(options.script):
        what = "is a folder" if os.path.isdir(options.script) else "no such file"
        raise Refusal(f"{options.script}: {what}", COMMAND)
    with torch_is_pydl(), _as_script(options.script, options.arguments):
        try:
            runpy.run_path(options.script, run_name="__main__")
        except SystemExit as end:
            return _exit_code(end)
        except Exception as error:
            traceback.print_exception(type(error), error, _from_script(error.__traceback__, options.script))
            return 1
    return 0


class TorchFinder(MetaPathFinder, Loader):
    """Finds `torch` and `torch.…` where pydl has the module of the same place, and loads them as that very module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of `torch` or one of its modules; None for every other name."""
        root, _, rest = fullname.partition(".")
        if root != "torch":
            return None
        name = f"pydl.{rest}" if rest else "pydl"
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"pydl does not cover the module {fullname}", name=fullname)
        return ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        """Put pydl's own module in the place of the fresh one: the import system then returns it."""
        name = module.__name__
        sys.modules[name] = importlib.import_module("pydl" + name.removeprefix("torch"))


@contextmanager
def torch_is_pydl() -> Iterator[None]:
    """Within the block `import torch` and `import torch.…` give pydl's modules; afterwards all is as before."""
    finder = TorchFinder()
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_torch(name)}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_torch(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_torch(name: str) -> bool:
    return name == "torch" or name.startswith("torch.")


@contextmanager
def _as_script(script: str, arguments: Sequence[str]) -> Iterator[None]:
    """The arguments and the import path that `python script.py` would give."""
    argv, path = sys.argv, sys.path[:]
    sys.argv = [script, *arguments]
    sys.path[:] = [os.path.dirname(os.path.abspath(script)), *path]
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path


def _exit_code(end: SystemExit) -> int:
    """What Python makes of the argument of sys.exit: None is 0, a number itself, anything else is printed: 1."""
    if end.code is None or isinstance(end.code, int):
        return int(end.code or 0)
    print(end.code, file=sys.stderr)
    return 1


def _from_script(trace: TracebackType | None, script: str) -> TracebackType | None:
    """The traceback from the script's first line on; all of it where the script was not reached."""
    part = trace
    while part is not None and part.tb_frame.f_code.co_filename != script:
        part = part.tb_next
    return part or trace
