# SPDX-License-Identifier: BSD-3-Clause
"""Import lines that users write, and what importing does and does not do to the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def python(code: str, **environment: str) -> str:
    """Runs a fresh interpreter, warnings being errors; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


LINES = (
    "import pydl as torch, pydl.nn as nn; print(nn.Linear(2, 3)(torch.ones(1, 2)).shape)",
    "from pydl import nn; print(nn.ReLU())",
    "import pydl; pydl.nn.functional.relu(pydl.ones(2)); pydl.optim.SGD([pydl.ones(1, requires_grad=True)], lr=0.1)",
    "import pydl.nn.functional as F; from pydl.utils.data import DataLoader, TensorDataset, Dataset",
    "from pydl import nn, optim; from pydl.nn import init; from pydl.autograd import Function, gradcheck",
    "import pydl; pydl.autograd.gradcheck_module; pydl.nn.init; pydl.utils.data; pydl.autograd.functional.jacobian",
    "import pydl; pydl.text.Vocabulary; from pydl.text import beam_search",
    "from pydl import Tensor, float32, float64, no_grad, tensor, manual_seed, from_numpy",
)


@pytest.mark.parametrize("line", LINES)
def test_import_lines(line: str) -> None:
    python(line)


def test_importing_leaves_subnormals_alone() -> None:
    assert python("import numpy as np, pydl; print(np.float32(1e-38) * np.float32(0.1) != 0)") == "True"


def test_importing_loads_no_other_library() -> None:
    heavy = ("torch", "scipy", "matplotlib", "sklearn", "tqdm", "pandas", "tests", "bench")
    loaded = python(f"import sys, pydl; print([m for m in {heavy!r} if m in sys.modules])")
    assert loaded == "[]"


def test_importing_changes_no_setting() -> None:
    code = (
        "import os, signal, warnings, numpy as np\n"
        "def state(): return (dict(os.environ), signal.getsignal(signal.SIGINT), list(warnings.filters),"
        " np.geterr(), np.get_printoptions())\n"
        "before = state()\nimport pydl\nafter = state()\n"
        "print([a == b for a, b in zip(before, after)])"
    )
    assert python(code) == "[True, True, True, True, True]"


def test_importing_starts_no_thread() -> None:
    if not Path("/proc/self/task").exists():
        pytest.skip("counts the threads in /proc")
    code = (
        "import os, numpy\ndef count(): return len(os.listdir('/proc/self/task'))\n"
        "n = count()\nimport pydl\nprint(count() - n)"
    )
    assert python(code) == "0"


def test_an_unknown_instruction_set_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import pydl"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYDL_ISA": "mmx"},
    )
    assert done.returncode != 0 and "mmx" in done.stderr


def test_the_base_instruction_set_can_be_forced() -> None:
    code = "import pydl._core.kernels as k, pydl; print(k.isa(), float((pydl.ones(3, 3) @ pydl.ones(3, 3)).sum()))"
    assert python(code, PYDL_ISA="base") == "base 27.0"


def test_importing_leaves_the_operations_of_networks_for_later() -> None:
    code = (
        "import sys, pydl\n"
        "early = [m for m in ('conv', 'norm', 'pool', 'optimizers') if f'pydl._core.{m}' in sys.modules]\n"
        "print(early, 'pydl.nn' in sys.modules, pydl.conv2d is pydl.nn.functional.conv2d)"
    )
    assert python(code) == "[] False True"


@pytest.mark.parametrize("name", ["conv2d", "einsum", "add", "rms_norm", "sort"])
def test_a_pickled_operation_loads_its_module(name: str) -> None:
    """In a process that has not used it yet."""
    code = f"import sys, pickle, pydl; sys.stdout.write(pickle.dumps(pydl.{name}, 0).hex())"
    data = python(code)
    assert python(f"import pickle, pydl; print(pickle.loads(bytes.fromhex({data!r})) is pydl.{name})") == "True"


def test_a_star_brings_what_is_loaded_later() -> None:
    """All but packages, as in PyTorch."""
    code = "from pydl import *; import pydl; print(conv2d is pydl.conv2d, save is pydl.save, 'nn' in globals())"
    assert python(code) == "True True False"
