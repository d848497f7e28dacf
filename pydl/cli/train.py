# SPDX-License-Identifier: BSD-3-Clause
"""`pydl train digits`: a network learns handwritten digits, and shows what it learned and where the time went."""

from __future__ import annotations

import argparse
import os
import sys
import time

import pydl
from pydl.cli.refusal import Commands, Refusal, make_folder, positive, require, whole

__all__ = ["add"]

COMMAND = "pydl train"
# Chosen by 4-fold cross-validation inside the training part; the test set was not looked at.
EPOCHS, BATCH, LR = 30, 32, 0.2
MANY = 10**9


def add(commands: Commands) -> None:
    """Declare the command and its options."""
    p = commands.add_parser(
        "train",
        help="train a network on the handwritten digits of scikit-learn (the default)",
        description="Trains on 1437 of scikit-learn's 1797 handwritten digits (8x8 pixels) and tests on the other 360."
        " Writes a picture and the weights. The same seed gives the same weights, bit for bit, on any number of"
        " threads.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    p.add_argument("data", nargs="?", choices=["digits"], default="digits", help="what to learn")
    p.add_argument("--model", choices=["mlp"], default="mlp", help="the network")
    p.add_argument("--epochs", type=whole(1, MANY), default=EPOCHS, metavar="N", help="times through the training set")
    p.add_argument("--batch", type=whole(1, MANY), default=BATCH, metavar="N", help="samples in a step")
    p.add_argument("--lr", type=positive, default=LR, metavar="X", help="learning rate, falling to 0 along a cosine")
    p.add_argument(
        "--threads", type=whole(1, 1024), default=argparse.SUPPRESS, metavar="N", help="threads to use (default: all)"
    )
    p.add_argument("--seed", type=whole(0, 2**63 - 1), default=0, metavar="N", help="start of the random numbers")
    p.add_argument("--out", default="pydl-digits", metavar="DIR", help="folder for the picture and the weights")
    p.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Check everything that can be checked, train, report, and write the files."""
    start = time.perf_counter()
    require(COMMAND, scikit_learn="sklearn.datasets", matplotlib="matplotlib.figure", tqdm="tqdm")
    make_folder(COMMAND, options.out)
    if "threads" in options:
        pydl.set_num_threads(options.threads)
    from pydl.cli import plots, report
    from pydl.cli.digits import load
    from pydl.cli.training import Diverged, train

    digits = load()
    print(report.heading(options, digits))
    try:
        result = train(digits, options)
    except Diverged as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 1
    print(report.confusion(result.predicted, digits.test_y.numpy()))
    print(report.times(result.clock))
    name = f"digits_{options.model}"
    picture, weights = (os.path.join(options.out, name + end) for end in (".png", ".safetensors"))
    try:
        plots.save(picture, digits, result)
        report.save_weights(weights, result, options)
    except OSError as error:
        raise Refusal(f"cannot write to the folder {options.out}: {error.strerror or error}", COMMAND) from None
    print(f"picture  {picture}\nweights  {weights}")
    print(f"test accuracy {100 * result.history[-1].test_accuracy:.2f} %, {time.perf_counter() - start:.1f} s in all")
    return 0
