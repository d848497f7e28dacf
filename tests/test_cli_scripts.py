# SPDX-License-Identifier: BSD-3-Clause
"""`pydl run` and `pydl check`: PyTorch scripts run unchanged, and are told beforehand what is not covered."""

from __future__ import annotations

import ast
import os
import sys
import textwrap

import pytest

from pydl.cli import main

# ------------------------------------------------------------------------------------------------ run


def script(tmp_path, text, name="script.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_run_trains_a_torch_script(tmp_path, capsys):
    path = script(
        tmp_path,
        """
        import sys
        import torch
        import torch.nn as nn
        import torch.nn.functional as F
        from torch import optim
        from torch.utils.data import DataLoader, TensorDataset
        import helper

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

            def forward(self, x):
                return self.layers(x)

        if __name__ == "__main__":
            torch.manual_seed(0)
            x = torch.rand(64, 2)
            y = x.sum(1, keepdim=True)
            net = Net()
            opt = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
            for epoch in range(30):
                for xb, yb in DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True):
                    opt.zero_grad()
                    loss = F.mse_loss(net(xb), yb)
                    loss.backward()
                    opt.step()
            assert loss.item() < 0.01
            print(torch.__name__, sys.argv[1:], helper.VALUE, torch.nn is nn)
        """,
    )
    script(tmp_path, "import torch\nVALUE = torch.ones(2).sum().item()\n", "helper.py")
    before, known = sys.argv, {name for name in sys.modules if name.partition(".")[0] == "torch"}
    try:
        assert main(["run", path, "--epochs", "3", "-x"]) == 0
    finally:
        sys.modules.pop("helper", None)
    assert capsys.readouterr().out == "pydl ['--epochs', '3', '-x'] 2.0 True\n"
    assert sys.argv is before and os.path.dirname(path) not in sys.path
    assert {name for name in sys.modules if name.partition(".")[0] == "torch"} == known


def test_run_returns_what_the_script_returns(tmp_path, capsys):
    assert main(["run", script(tmp_path, "import sys; sys.exit(7)")]) == 7
    assert main(["run", script(tmp_path, "raise SystemExit")]) == 0
    assert main(["run", script(tmp_path, "raise SystemExit('no')")]) == 1
    assert capsys.readouterr().err == "no\n"
    assert main(["run", script(tmp_path, "def f():\n    1 / 0\n\n\nf()")]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err and "line 5" in err and "runpy" not in err and "pydl/cli" not in err
    assert main(["run", script(tmp_path, "raise KeyboardInterrupt")]) == 130
    assert main(["run", script(tmp_path, "import torch.no_such_part")]) == 1
    assert "ModuleNotFoundError: pydl does not cover the module torch.no_such_part" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ check


def check(tmp_path, capsys, text):
    code = main(["check", script(tmp_path, text)])
    out = capsys.readouterr().out
    return code, {line.split()[0]: line for line in out.splitlines()[1:]}


def test_check_follows_every_kind_of_import(tmp_path, capsys):
    code, missing = check(
        tmp_path,
        capsys,
        """
        import torch
        import torch as t
        import torch.nn.functional as F
        import torch.nope.deep
        from torch import nn, nope1
        from torch.nn import Linear as L, nope2 as n2
        from torch import (
            tensor,
            nope3,
        )
        y = torch.nope4(1).item()
        y = t.nn.nope5
        y = F.nope6(F.relu(tensor([1.0])))
        y = nn.functional.nope7.more
        y = getattr(nn, "nope8")
        q = nn.functional
        y = q.nope9(q.linear, L, torch.optim.SGD)
        """,
    )
    assert code == 1
    assert {name: int(line.split("line ")[1].split(";")[0].split()[0]) for name, line in missing.items()} == {
        "torch.nope": 5, "torch.nope1": 6, "torch.nn.nope2": 7, "torch.nope3": 10, "torch.nope4": 12,
        "torch.nn.nope5": 13, "torch.nn.functional.nope6": 14, "torch.nn.functional.nope7": 15, "torch.nn.nope8": 16,
        "torch.nn.functional.nope9": 18,
    }  # fmt: skip


def test_check_knows_what_is_not_torch(tmp_path, capsys):
    code, missing = check(
        tmp_path,
        capsys,
        """
        import torch as t, torch
        import torchvision, numpy.nope
        from .torch import nope
        from numpy import nn
        nn.nope
        a = [t.nope for t in range(3)]
        b = {t: t.nope for t in range(3)}

        def f(t, x=t.zeros(1)):
            return t.nope

        def g():
            t = 3
            return t.nope

        h = lambda t: t.nope

        class C:
            torch = 3
            k = torch.nope

            def m(self):
                return torch.zeros(1)

        torch.zeros(2).nope()
        for t in range(3):
            t.nope
        """,
    )
    assert (code, missing) == (0, {})


def test_check_sees_functions_before_the_import(tmp_path, capsys):
    code, missing = check(tmp_path, capsys, "def f():\n    return nn.nope\n\n\nfrom torch import nn\n")
    assert code == 1 and "line 2;" in missing["torch.nn.nope"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("torch.nn.Linaer", "torch.nn.Linear"),
        ("torch.nn.functional.reul", "torch.nn.functional.relu"),
        ("torch.nn.matmul", "torch.matmul"),
        ("torch.qqqqqqqqqqqq", "none"),
        ("pydl.nn.Linaer", "pydl.nn.Linear"),
    ],
)
def test_check_names_the_nearest(name, near, tmp_path, capsys):
    code, missing = check(tmp_path, capsys, f"import torch, pydl, torch.nn.functional\n{name}\n{name}\n")
    assert code == 1 and missing[name].endswith(f"lines 2, 3; nearest covered: {near}")


def test_check_pydl_scripts_and_pydls_own_parts(tmp_path, capsys):
    text = "import pydl as torch, pydl.nn as nn\nfrom pydl.io import safetensors\nnn.Linear, torch.io, torch.Tensor\n"
    assert check(tmp_path, capsys, text) == (0, {})
    code, missing = check(tmp_path, capsys, "import torch\ntorch.io, torch._core, torch.ops.x\n")
    assert code == 1 and set(missing) == {"torch.io", "torch._core", "torch.ops"}


def test_check_several_scripts_and_files_that_are_not_python(tmp_path, capsys):
    good = script(tmp_path, "import torch\ntorch.zeros(2)\n", "good.py")
    none = script(tmp_path, "print('hello')\n", "none.py")
    bad = script(tmp_path, "import torch\ntorch.nope\n", "bad.py")
    assert main(["check", good, none]) == 0
    out = capsys.readouterr().out
    assert f"{good}: 2 torch names used, all covered" in out and f"{none}: no torch names used" in out
    assert main(["check", good, bad]) == 1
    capsys.readouterr()
    wrong = script(tmp_path, "x = 1\nx = = 2\n", "wrong.py")
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"\xff\x00\xfe")
    for path, message in ((wrong, "line 2: not Python"), (str(binary), "not Python")):
        assert main(["check", good, path]) == 2
        out, err = capsys.readouterr()
        assert out == "" and message in err and err.count("\n") == 1


def test_every_covered_name_is_found_by_its_own_check():
    """What the index lists, the check calls covered: nothing is suggested that is then called missing."""
    from pydl.cli.names import Names

    names = Names()
    assert len(names._index) > 100
    assert [n for n in names._index if names.first_missing(f"torch.{n}")] == []


def test_uses_are_in_the_order_of_the_lines():
    from pydl.cli.check import uses

    found = uses(ast.parse("import torch\n\n\ndef f():\n    return torch.relu\n\n\ntorch.zeros\n"))
    assert found == [(1, "torch"), (5, "torch.relu"), (8, "torch.zeros")]
