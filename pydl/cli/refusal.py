# SPDX-License-Identifier: BSD-3-Clause
"""What a command says when it cannot do as asked: one line, exit code 2."""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["Commands", "OneLineParser", "Refusal", "make_folder", "positive", "require", "whole"]

Commands = Any  # argparse's subparsers object, whose class is private


class Refusal(Exception):
    """The command cannot be done as asked; the text is the one line for the user."""

    def __init__(self, message: str, prefix: str = "pydl") -> None:
        super().__init__(" ".join(message.split()))
        self.prefix = prefix


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line; the usage is left to --help."""

    def error(self, message: str) -> NoReturn:
        raise Refusal(f"{message} (see {self.prog} --help)", self.prog)


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number from `low` to `high`."""

    def number(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}, not {value}")
        return value

    number.__name__ = "whole number"  # argparse names the type in its message
    return number


def positive(text: str) -> float:
    """An argument that is a finite number > 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
    return value


def require(command: str, modules: dict[str, str]) -> None:
    """Import the modules a command needs, given as {distribution: module}; Refusal naming those that are absent."""
    absent = []
    for distribution, module in modules.items():
        try:
            importlib.import_module(module)
        except ImportError:
            absent.append(distribution)
    if absent:
        names = " and ".join(absent)
        raise Refusal(f'needs {names}, not installed here: pip install "pydl-nn[examples]"', command)


def make_folder(command: str, path: str) -> None:
    """Make the folder if it is absent, and try it by writing a file; Refusal where that fails."""
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise Refusal(f"cannot write to the folder {path}: {error.strerror or error}", command) from None
