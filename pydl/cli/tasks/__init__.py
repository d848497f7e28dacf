# SPDX-License-Identifier: BSD-3-Clause
"""What `pydl train` can learn: the table of the tasks, each in a file of its own, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydl.cli.tasks.task import Task

__all__ = ["MODELS", "TASKS", "task_of"]

# name of the task: its module and class; its networks, the default first.
TASKS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "digits": ("images", "Digits", ("cnn", "mlp", "rnn", "lstm", "gru")),
    "fashion": ("images", "Fashion", ("lenet", "mlp")),
    "mnist": ("images", "Mnist", ("lenet", "mlp")),
    "vowels": ("vowels", "Vowels", ("lstm", "gru", "rnn")),
    "sunspots": ("sunspots", "Sunspots", ("gru", "lstm", "rnn")),
    "chars": ("chars", "Chars", ("lstm", "gru")),
    "phonemes": ("phonemes", "Phonemes", ("attention", "plain")),
}
MODELS = sorted({model for _, _, models in TASKS.values() for model in models})


def task_of(name: str) -> type[Task]:
    """The class of the task of that name."""
    module, kind, _ = TASKS[name]
    found: type[Task] = getattr(import_module(f"pydl.cli.tasks.{module}"), kind)
    return found
