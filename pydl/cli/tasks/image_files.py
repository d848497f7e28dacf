# SPDX-License-Identifier: BSD-3-Clause
"""The pictures that `pydl train` learns from: scikit-learn's digits, and MNIST's idx files."""

from __future__ import annotations

import gzip
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

import pydl
from pydl.cli.refusal import Refusal
from pydl.tensor import Tensor

__all__ = ["FASHION_FOLDER", "Images", "load_idx"]

Array = np.ndarray[Any, np.dtype[Any]]
FASHION_FOLDER = "/usr/share/datasets/fashion-mnist"
DIGITS = tuple("0123456789")
FASHION = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
MAX_IMAGES = 10**6


@dataclass(frozen=True)
class Images:
    """Gray pictures as rows of side² numbers, (N, side²) float32, and the numbers of their classes, (N,) int64.

    The rows are (gray − mean) / std with gray from 0 to 1; `source` says where they are from.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    side: int
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    mean: float = 0.0
    std: float = 1.0

    def gray(self, x: Tensor) -> Array:
        """Rows as pictures, (N, side, side) from 0 to 1."""
        gray: Array = x.numpy().reshape(-1, self.side, self.side) * self.std + self.mean
        return gray


def load_idx(name: str, folder: str | None, command: str) -> Images:
    """Fashion-MNIST ("fashion") or MNIST ("mnist") from a folder with its four idx files, gzipped or not."""
    title = {"fashion": "Fashion-MNIST", "mnist": "MNIST"}[name]
    place = folder or (FASHION_FOLDER if name == "fashion" else None)
    if place is None or not any(os.path.exists(os.path.join(place, FILES[0] + end)) for end in ("", ".gz")):
        get = "apt install dataset-fashion-mnist, or " if name == "fashion" else ""
        where = f"not in {place}" if place else "not part of pydl"
        raise Refusal(
            f"{title} is {where}: {get}give the folder of its four files ({FILES[0]}.gz, …) by --data", command
        )
    try:
        parts = [_read(place, file) for file in FILES]
    except (OSError, EOFError, ValueError) as error:
        raise Refusal(f"cannot read {title} in {place}: {error}", command) from None
    for images, labels in (parts[:2], parts[2:]):
        if (
            images.ndim != 3
            or images.shape[1] != images.shape[2]
            or labels.shape != images.shape[:1]
            or labels.max() > 9
        ):
            text = f"images {images.shape} and labels {labels.shape} up to {labels.max()} do not belong together"
            raise Refusal(f"cannot read {title} in {place}: {text}", command)
    mean, std = _moments(parts[0])
    rows = [((p.reshape(len(p), -1) / np.float32(255) - np.float32(mean)) / np.float32(std)) for p in parts[::2]]
    train_y, test_y = (pydl.from_numpy(p.astype(np.int64)) for p in parts[1::2])
    classes, side = FASHION if name == "fashion" else DIGITS, parts[0].shape[1]
    train, test = (pydl.from_numpy(row.astype(np.float32)) for row in rows)
    return Images(name, f"{title}, {place}", classes, side, train, train_y, test, test_y, mean, std)


def _read(folder: str, name: str) -> Array:
    """An idx file of bytes: 0, 0, 8, the number of dimensions; the sizes, 32 bits each, high byte first; the bytes."""
    path = os.path.join(folder, name)
    opened: Any = open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz")
    with opened as file:
        head = file.read(4)
        if len(head) != 4 or head[:3] != b"\0\0\x08" or head[3] not in (1, 3):
            raise ValueError(f"{name} is no idx file of bytes")
        sizes = file.read(4 * head[3])
        shape = np.frombuffer(sizes, ">u4").tolist() if len(sizes) == 4 * head[3] else [0]
        if not 0 < shape[0] <= MAX_IMAGES or any(not 0 < n <= 1024 for n in shape[1:]):
            raise ValueError(f"{name} has the sizes {shape}")
        n = math.prod(shape)
        data = file.read(n + 1)
    if len(data) != n:
        raise ValueError(f"{name} has {len(data)} bytes of {n}" if len(data) < n else f"{name} has more than {n} bytes")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _moments(images: Array) -> tuple[float, float]:
    """Mean and standard deviation of all pixels, exact: from how often each gray occurs."""
    counts = np.bincount(images.ravel(), minlength=256) / images.size
    grays = np.arange(256) / 255
    mean = float(counts @ grays)
    return mean, max(1e-3, math.sqrt(float(counts @ grays**2) - mean**2))
