# SPDX-License-Identifier: BSD-3-Clause
"""The command line: `pydl train | info | bench | run | check`. Each command is a file with `add(commands)`.

Exit codes: 0 done; 1 the answer is no (names not covered, training diverged, the script failed); 2 it cannot be done as
asked, with one line on stderr; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import pydl
from pydl.cli import bench, check, info, run, train
from pydl.cli.refusal import OneLineParser, Refusal

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Without a command: `train digits`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments = ["train", "digits", *arguments]
    try:
        try:
            options = _parser().parse_args(arguments)
        except SystemExit as end:  # argparse after --help and --version
            return int(end.code or 0)
        return int(options.command(options))
    except Refusal as refusal:
        print(f"{refusal.prefix}: {refusal}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `pydl bench | head`: whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\npydl: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="pydl",
        description="Neural networks on the CPU. Without a command: train digits.",
        epilog="`pydl <command> --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"pydl {pydl.__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    for module in (train, info, bench, run, check):
        module.add(commands)
    return parser
