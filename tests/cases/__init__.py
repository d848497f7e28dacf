# SPDX-License-Identifier: BSD-3-Clause
"""One `Case` per operation, in the files of this folder; everything that `test_ops` does follows from these."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pydl.nn.functional  # noqa: F401  (declares the operations of networks)
from tests.harness import Case

FAMILIES = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
CASES: dict[str, Case] = {name: case for family in FAMILIES for name, case in family.CASES.items()}
