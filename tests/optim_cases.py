# SPDX-License-Identifier: BSD-3-Clause
"""Every optimizer with its options, and the parameters and gradients that the tests give it."""

import itertools

import numpy as np
import pytest

import pydl
from pydl import nn, optim

NO, YES = False, True
OPTIONS = {
    "SGD": {"momentum": [0, 0.9], "weight_decay": [0, 0.1], "maximize": [NO, YES]},
    "Adam": {
        "amsgrad": [NO, YES], "weight_decay": [0, 0.1], "decoupled_weight_decay": [NO, YES], "maximize": [NO, YES],
        "betas": [(0.9, 0.999), (0.3, 0.4)],
    },
    "AdamW": {"amsgrad": [NO, YES], "weight_decay": [0, 0.1], "maximize": [NO, YES]},
    "NAdam": {"weight_decay": [0, 0.1], "decoupled_weight_decay": [NO, YES], "maximize": [NO, YES]},
    "RAdam": {"weight_decay": [0, 0.1], "decoupled_weight_decay": [NO, YES], "maximize": [NO, YES]},
    "Adamax": {"weight_decay": [0, 0.1], "maximize": [NO, YES]},
    "Adadelta": {"weight_decay": [0, 0.1], "rho": [0.9, 0.5], "maximize": [NO, YES]},
    "Adagrad": {
        "weight_decay": [0, 0.1], "lr_decay": [0, 0.1], "initial_accumulator_value": [0, 0.5], "maximize": [NO, YES],
    },
    "RMSprop": {"weight_decay": [0, 0.1], "momentum": [0, 0.9], "centered": [NO, YES], "maximize": [NO, YES]},
    "Rprop": {"maximize": [NO, YES], "etas": [(0.5, 1.2)]},
    "ASGD": {"weight_decay": [0, 0.1], "t0": [1e6, 3], "maximize": [NO, YES]},
}  # fmt: skip
CASES = [
    (name, dict(zip(choices, values, strict=True)))
    for name, choices in OPTIONS.items()
    for values in itertools.product(*choices.values())
]
IDS = [f"{name}-" + "-".join(map(str, options.values())) for name, options in CASES]
FULLEST = [  # the option sets with the most state
    ("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("AdamW", {}), ("NAdam", {}), ("RAdam", {}),
    ("Adamax", {}), ("Adadelta", {}), ("Adagrad", {}), ("RMSprop", {"momentum": 0.9, "centered": True}), ("Rprop", {}),
    ("ASGD", {}),
]  # fmt: skip
each_optimizer = pytest.mark.parametrize(("name", "options"), FULLEST, ids=[name for name, _ in FULLEST])
SHAPES = [(), (3,), (17,), (4, 5), (0,), (33, 7), (1001,)]


def numbers(seed, dtype="float32", shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def make(name, options, dtype="float32", seed=0, shapes=SHAPES):
    params = [nn.Parameter(pydl.tensor(x)) for x in numbers(seed, dtype, shapes)]
    return params, getattr(optim, name)(params, lr=0.1, **options)


def give_gradients(params, seed):
    for param, grad in zip(params, numbers(seed, shapes=[tuple(p.shape) for p in params]), strict=True):
        param.grad = pydl.tensor(grad.astype(param.detach().numpy().dtype))


def bits(params, opt):
    """Parameters and state as bytes."""
    tensors = [*params, *(t for values in opt.state.values() for t in values.values())]
    return b"".join(np.ascontiguousarray(t.detach().numpy()).tobytes() for t in tensors)
