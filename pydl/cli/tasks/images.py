# SPDX-License-Identifier: BSD-3-Clause
"""Telling small pictures apart: handwritten digits, Fashion-MNIST, MNIST; as pictures, or row by row."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import pydl
from pydl import nn
from pydl.cli.recipes import Recipe
from pydl.cli.report import confusion
from pydl.cli.results import Result
from pydl.cli.tasks import baselines, digits
from pydl.cli.tasks.image_files import Images, load_idx
from pydl.cli.tasks.task import Batches, Scores, Task, parted
from pydl.models import CNN, MLP, LeNet5, SequenceClassifier
from pydl.tensor import Tensor
from pydl.utils.data import DataLoader, TensorDataset

__all__ = ["Digits", "Fashion", "Mnist", "make_model", "vary"]

HIDDEN = (512, 256)
RECURRENT, RECURRENT_HIDDEN, RECURRENT_DROPOUT = ("rnn", "lstm", "gru"), 128, 0.2
EVALUATED = 1000  # images in one batch of the evaluation
MAX_TRAIN_EVALUATED = 10_000  # the first training images stand for all in "train"


@dataclass(frozen=True)
class ImageRecipe(Recipe):
    """`mirror` and `shift` (pixels) vary the training images at random."""

    mirror: bool = False
    shift: int = 0


def make_model(name: str, side: int, classes: int) -> nn.Module:
    """A new network for pictures of side² pixels, with weights from the default generator."""
    if name == "mlp":
        return MLP(side * side, *HIDDEN, classes)
    if name == "lenet":
        return LeNet5(classes, activation="relu", pool="max")
    if name == "cnn":
        return CNN(side=side, classes=classes)
    return SequenceClassifier(side, RECURRENT_HIDDEN, classes, kind=name, dropout=RECURRENT_DROPOUT)


def vary(x: Any, recipe: ImageRecipe, blank: float, generator: pydl.Generator) -> Any:
    """Pictures (N, 1, H, W), each mirrored or not and shifted by up to `recipe.shift` pixels, as the generator says."""
    n, _, height, width = x.shape
    a = x.numpy()
    if recipe.mirror:
        chosen = pydl.rand(n, generator=generator).numpy() < 0.5
        a = a.copy()
        a[chosen] = a[chosen][..., ::-1]
    if recipe.shift:
        reach = recipe.shift
        around = ((0, 0), (0, 0), (reach, reach), (reach, reach))
        padded = np.pad(a, around, constant_values=blank)
        down, right = pydl.randint(0, 2 * reach + 1, (2, n), generator=generator).numpy()
        rows, columns = down[:, None] + np.arange(height), right[:, None] + np.arange(width)
        a = padded[np.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]
    return pydl.from_numpy(np.ascontiguousarray(a))


class ImageTask(Task):
    """Pictures in classes. The shape that a network takes is made here: rows of pixels, pictures, or steps in time."""

    counted = "samples"
    noun: ClassVar[str] = "images"
    recipe: ImageRecipe
    validation: tuple[Tensor, Tensor] | None  # what --patience chooses the epoch by

    def __init__(self, options: argparse.Namespace, command: str) -> None:
        super().__init__(options, command)
        self.images = self.load(options, command)
        x, y = self.images.train_x, self.images.train_y
        trained, held = parted(len(x), options.patience)
        self.train, self.validation = (x, y), None
        if len(held):
            self.train, self.validation = (x[trained], y[trained]), (x[held], y[held])
        self.variation = pydl.Generator().manual_seed(options.seed)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=self.recipe.smoothing)
        self.clip = 1.0 if options.model in RECURRENT else None
        self.predicted = np.empty(0, np.int64)
        self.right = 0.0
        self.baselines: dict[str, float] = {}

    def load(self, options: argparse.Namespace, command: str) -> Images:
        """The pictures."""
        return load_idx(self.name, options.folder, command)

    def make_model(self) -> nn.Module:
        return make_model(self.options.model, self.images.side, len(self.images.classes))

    def shaped(self, x: Tensor) -> Tensor:
        """Rows of side² pixels as the network takes them."""
        side = self.images.side
        if self.options.model == "mlp":
            return x
        return x.view(-1, side, side) if self.options.model in RECURRENT else x.view(-1, 1, side, side)

    def batches(self, generator: pydl.Generator) -> Batches:
        x, y = self.train
        data = TensorDataset(self.shaped(x), y)
        return DataLoader(data, batch_size=self.options.batch, shuffle=True, generator=generator)

    def vary(self, batch: Any) -> Any:
        if not (self.recipe.mirror or self.recipe.shift):
            return batch
        x, y = batch
        side, blank = self.images.side, (0.0 - self.images.mean) / self.images.std
        varied: Tensor = vary(x.view(-1, 1, side, side), self.recipe, blank, self.variation)
        return varied.view(x.shape), y

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        x, y = batch
        return self.criterion(model(x), y), len(x)

    def evaluate(self, model: nn.Module) -> Scores:
        train = self._tested(model, *(part[:MAX_TRAIN_EVALUATED] for part in self.train))[1]
        found = self._test(model) if self.validation is None else self._tested(model, *self.validation)
        return Scores(*found, train)

    def _test(self, model: nn.Module) -> tuple[float, float]:
        """Loss and share of right answers in the test set; both stay."""
        loss, self.right = self._tested(model, self.images.test_x, self.images.test_y)
        return loss, self.right

    def _tested(self, model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
        """Mean loss and share of right answers; the answers stay in `predicted`."""
        loss_sum, predicted, shaped = 0.0, [], self.shaped(x)
        for i in range(0, len(x), EVALUATED):
            scores = model(shaped[i : i + EVALUATED])
            loss_sum += self.criterion(scores, y[i : i + EVALUATED]).item() * len(scores)
            predicted.append(scores.argmax(1).numpy())
        self.predicted = np.concatenate(predicted)
        return loss_sum / len(x), float(np.mean(self.predicted == y.numpy()))

    def state(self) -> dict[str, Any]:
        return {"variation": self.variation.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.variation.set_state(state["variation"])

    # ---- words and pictures ----------------------------------------------------------------------------------------

    def model_name(self) -> str:
        model, images = self.options.model, self.images
        if model == "mlp":
            return "mlp " + "-".join(map(str, (images.side**2, *HIDDEN, len(images.classes))))
        if model in RECURRENT:
            return f"{model.upper()} {RECURRENT_HIDDEN} over the rows"
        return {"cnn": "CNN", "lenet": "LeNet-5"}[model]

    def amounts(self) -> str:
        n, n_test = len(self.images.train_x), len(self.images.test_x)
        n_held = 0 if self.validation is None else len(self.validation[1])
        return f"{n} {self.noun} to train on, {n_test} to test on{self.chosen_by(n_held)}"

    def notes(self) -> list[str]:
        varied = [" mirrored"] if self.recipe.mirror else []
        varied += [f" shifted by up to {self.recipe.shift} pixel"] if self.recipe.shift else []
        return [f"training images are{' and'.join(varied)} at random"] if varied else []

    def report(self, model: nn.Module, result: Result) -> str:
        images = self.images
        if self.validation is not None:
            with pydl.no_grad():
                self._test(model)
        train_x, test_x = images.train_x.numpy(), images.test_x.numpy()
        self.baselines = baselines.accuracies(train_x, images.train_y.numpy(), test_x, images.test_y.numpy())
        return "\n".join([
            confusion(self.predicted, images.test_y.numpy(), images.classes),
            f"for comparison: {baselines.text(self.baselines)}",
        ])  # fmt: skip

    def draw(self, path: str, model: nn.Module, result: Result) -> None:
        from pydl.cli.tasks import image_plots

        image_plots.save(path, self, model, result)

    def metadata(self) -> dict[str, str]:
        images = self.images
        return {
            "data": images.source,
            "mean": repr(images.mean),
            "std": repr(images.std),
            "test_accuracy": f"{self.right:.6f}",
        }

    def closing(self) -> str:
        return f"test accuracy {100 * self.right:.2f} %, {baselines.text(self.baselines)}"


# Digits: chosen by 4-fold cross-validation inside the training part; Fashion-MNIST: with the last 5,000 training images
# held out. The test sets were not looked at.


class Digits(ImageTask):
    """scikit-learn's 8×8 digits."""

    name = "digits"
    noun = "digits"
    needs = {"scikit-learn": "sklearn.datasets"}
    recipes = {
        "cnn": ImageRecipe(12, 32, "adamw", "onecycle", {"sgd": 0.05, "adam": 5e-3, "adamw": 5e-3}, 0.1),
        "mlp": ImageRecipe(30, 32, "sgd", "cosine", {"sgd": 0.2, "adam": 2e-3, "adamw": 2e-3}, 0.2),
        "rnn": ImageRecipe(20, 32, "adamw", "onecycle", {"sgd": 0.05, "adam": 5e-3, "adamw": 5e-3}, 0.1),
        "lstm": ImageRecipe(20, 32, "adamw", "onecycle", {"sgd": 0.5, "adam": 1e-2, "adamw": 1e-2}, 0.1),
        "gru": ImageRecipe(20, 32, "adamw", "onecycle", {"sgd": 0.5, "adam": 1e-2, "adamw": 1e-2}, 0.1),
    }

    def load(self, options: argparse.Namespace, command: str) -> Images:
        return digits.load()


class Fashion(ImageTask):
    """Fashion-MNIST."""

    name = "fashion"
    recipes = {
        "lenet": ImageRecipe(
            24, 64, "adamw", "onecycle", {"sgd": 0.04, "adam": 4e-3, "adamw": 4e-3}, minutes=None, mirror=True, shift=1
        ),
        "mlp": ImageRecipe(
            20, 64, "sgd", "cosine", {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3}, 0.1, minutes=None, mirror=True
        ),
    }


class Mnist(ImageTask):
    """MNIST."""

    name = "mnist"
    recipes = {
        "lenet": ImageRecipe(
            10, 64, "adamw", "onecycle", {"sgd": 0.04, "adam": 4e-3, "adamw": 4e-3}, minutes=None, shift=1
        ),
        "mlp": ImageRecipe(15, 64, "sgd", "cosine", {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3}, 0.1, minutes=None),
    }
