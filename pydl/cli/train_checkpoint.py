# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of `pydl train`: everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import argparse
import os
from typing import Any

import pydl
from pydl.cli.refusal import Refusal
from pydl.io.safetensors import SafetensorError

__all__ = ["FIXED", "check_data", "read", "restore_options", "write"]

FORMAT = "pydl train, version 3"
# What makes the course of a run: a resumed one takes these from its checkpoint.
FIXED = ("data", "model", "epochs", "batch", "lr", "optimizer", "scheduler", "seed", "patience")
KEYS = {"format", "options", "folder", "learns", "state"}


def write(path: str, options: argparse.Namespace, learns: str, state: dict[str, Any], command: str) -> None:
    """Put the state in place of the file at once: a killed process leaves the old one.

    `learns` says what network learns from how much data.
    """
    content = {
        "format": FORMAT,
        "options": {name: getattr(options, name) for name in FIXED},
        "folder": None if options.folder is None else os.path.abspath(options.folder),
        "learns": learns,
        "state": state,
    }
    try:
        pydl.save(content, path)
    except OSError as error:
        raise Refusal(f"cannot write the checkpoint {path}: {error.strerror or error}", command) from None


def read(path: str, command: str) -> dict[str, Any]:
    """The content of a checkpoint; Refusal for any other file."""
    try:
        content = pydl.load(path)
    except SafetensorError:
        content = None
    except OSError as error:
        raise Refusal(f"cannot read the checkpoint {path}: {error.strerror or error}", command) from None
    if not isinstance(content, dict) or set(content) != KEYS or content["format"] != FORMAT:
        raise Refusal(f"{path} is no checkpoint of this version of {command}", command)
    return content


def restore_options(given: argparse.Namespace, content: dict[str, Any], command: str) -> None:
    """Takes over the options of the saved run; Refusal where the user gave another value.

    The data may have moved: another --data than that of the saved run is allowed.
    """
    if given.folder is None:
        given.folder = content["folder"]
    for name, saved in content["options"].items():
        value = getattr(given, name)
        if value is not None and value != saved:
            option = name if name == "data" else f"--{name}"
            raise Refusal(f"{option} {value} is not what the checkpoint was trained with ({saved})", command)
        setattr(given, name, saved)


def check_data(learns: str, content: dict[str, Any], command: str) -> None:
    """Refusal where the data, or the network that they make, are not those of the saved run."""
    if learns != content["learns"]:
        raise Refusal(f"the checkpoint is of other data: {content['learns']}; not {learns}: see --data", command)
