# SPDX-License-Identifier: BSD-3-Clause
"""`pydl train`: a network learns one of the tasks, and shows what it learned and where the time went."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pydl
from pydl.cli.recipes import OPTIMIZERS, SCHEDULES
from pydl.cli.refusal import Commands, Refusal, make_folder, positive, require, whole
from pydl.cli.tasks import MODELS, TASKS, task_of

if TYPE_CHECKING:
    from pydl.cli.training import Run

__all__ = ["add"]

COMMAND = "pydl train"
MANY = 10**9
DESCRIPTION = """\
Trains on 1437 of scikit-learn's 1797 handwritten digits (8x8 pixels) and tests on the other 360, or learns one of the
other tasks. Prints what it learned beside what simple methods do, and writes a picture and the weights. The same seed
gives the same weights, bit for bit, on any number of threads, and also after --resume."""
ABOUT = {
    "digits": "handwritten digits, as pictures or row by row",
    "fashion": "pictures of clothes, Fashion-MNIST",
    "mnist": "MNIST, from --data",
    "vowels": "who of nine men speaks, Japanese vowels",
    "sunspots": "the next eleven years of sunspots",
    "chars": "the next character, Shakespeare",
    "phonemes": "how words are said, the CMU dictionary",
}


def add(commands: Commands) -> None:
    """Declare the command and its options."""
    p = commands.add_parser(
        "train",
        help="train a network on handwritten digits (the default) or other data",
        description=DESCRIPTION,
        epilog="; ".join(f"{name}: {ABOUT[name]} ({', '.join(models)})" for name, (_, _, models) in TASKS.items()),
    )
    p.add_argument("data", nargs="?", choices=list(TASKS), help="what to learn (default: digits)")
    p.add_argument("--model", choices=MODELS, help="the network (default: the first that fits the data)")
    p.add_argument("--epochs", type=whole(1, MANY), metavar="N", help="times through the training set")
    p.add_argument("--batch", type=whole(1, MANY), metavar="N", help="samples in a step")
    p.add_argument("--lr", type=positive, metavar="X", help="largest learning rate")
    p.add_argument("--optimizer", choices=OPTIMIZERS, help="sgd: with Nesterov momentum 0.9")
    p.add_argument("--scheduler", choices=list(SCHEDULES), help="course of the learning rate")
    p.add_argument("--seed", type=whole(0, 2**63 - 1), metavar="N", help="start of the random numbers (default: 0)")
    p.add_argument(
        "--patience",
        type=whole(1, MANY),
        metavar="N",
        help="hold training data out, stop after N epochs without a lower loss there, keep the best epoch's weights",
    )
    p.add_argument(
        "--checkpoint", metavar="FILE", help="keep the state of the run here, after each epoch and at Ctrl-C"
    )
    p.add_argument("--checkpoint-steps", type=whole(1, MANY), metavar="N", help="and after every N steps")
    p.add_argument("--resume", metavar="FILE", help="go on from a checkpoint, and keep the state there")
    p.add_argument("--data", dest="folder", metavar="DIR", help="folder with the files of the data, or the file")
    p.add_argument("--time-limit", type=positive, metavar="MIN", help="stop training after so many minutes")
    p.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads to use (default: all)")
    p.add_argument("--out", metavar="DIR", help="folder for the picture and the weights (default: pydl-digits, …)")
    p.set_defaults(command=run)


def complete(options: argparse.Namespace) -> dict[str, Any] | None:
    """Fills in what was not given, from the checkpoint or from the recipe; returns the checkpoint to go on from."""
    from pydl.cli import train_checkpoint

    content = None
    if options.resume is not None:
        content = train_checkpoint.read(options.resume, COMMAND)
        train_checkpoint.restore_options(options, content, COMMAND)
        options.checkpoint = options.checkpoint or options.resume
    options.data = options.data or "digits"
    models = TASKS[options.data][2]
    options.model = options.model or models[0]
    if options.model not in models:
        fitting = " or ".join([", ".join(models[:-1]), models[-1]] if len(models) > 1 else models)
        raise Refusal(f"--model {options.model} does not fit {options.data}: take {fitting}", COMMAND)
    if options.checkpoint_steps and not options.checkpoint:
        raise Refusal("--checkpoint-steps needs --checkpoint FILE", COMMAND)
    recipe = task_of(options.data).recipes[options.model]
    for name in ("epochs", "batch", "optimizer", "scheduler"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(recipe, name))
    options.lr = recipe.lr[options.optimizer] if options.lr is None else options.lr
    options.time_limit = recipe.minutes if options.time_limit is None else options.time_limit
    options.seed = options.seed or 0
    options.out = options.out or f"pydl-{options.data}"
    return content


def run(options: argparse.Namespace) -> int:
    """Check everything that can be checked, train, report, and write the files."""
    start = time.perf_counter()
    content = complete(options)
    task_class = task_of(options.data)
    require(COMMAND, task_class.needs | {"matplotlib": "matplotlib.figure", "tqdm": "tqdm"})
    make_folder(COMMAND, options.out)
    if options.checkpoint:
        make_folder(COMMAND, os.path.dirname(os.path.abspath(options.checkpoint)))
    if options.threads is not None:
        pydl.set_num_threads(options.threads)
    from pydl.cli import report, train_checkpoint
    from pydl.cli.training import Diverged, Run, train

    task = task_class(options, COMMAND)
    training = Run(task, options)
    if content is not None:
        train_checkpoint.check_data(training.learns, content, COMMAND)
        training.restore(content["state"])
    print(report.heading(training))
    try:
        train(training, COMMAND)
    except Diverged as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if options.checkpoint:
            print(f"checkpoint {options.checkpoint}: to go on, pydl train --resume {options.checkpoint}")
        raise
    if stopped := report.stopping(training):
        print(stopped)
    print(task.report(training.model, training.result))
    print(report.times(training.result.clock))
    _write(training)
    print(f"{task.closing()}, {time.perf_counter() - start:.1f} s in all")
    return 0


def _write(training: Run) -> None:
    """The picture and the weights."""
    from pydl.cli import report

    options, task = training.options, training.task
    name = f"{options.data}_{options.model}"
    picture, weights = (os.path.join(options.out, name + end) for end in (".png", ".safetensors"))
    try:
        task.draw(picture, training.model, training.result)
        report.save_weights(weights, training)
    except OSError as error:
        raise Refusal(f"cannot write to the folder {options.out}: {error.strerror or error}", COMMAND) from None
    print(f"picture  {picture}\nweights  {weights}")
