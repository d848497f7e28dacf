# SPDX-License-Identifier: BSD-3-Clause
"""Neural networks: modules, parameters, losses, initialization."""

from typing import TYPE_CHECKING

from pydl._absent import nearest as _nearest
from pydl.nn import functional, init, modules, parameter, utils
from pydl.nn.modules import *  # noqa: F403
from pydl.nn.modules import __all__ as _modules
from pydl.nn.parameter import Buffer, Parameter

__all__ = ["Buffer", "Parameter", "functional", "init", "modules", "parameter", "utils", *_modules]

if not TYPE_CHECKING:  # type checkers find such names themselves

    def __getattr__(name: str) -> object:
        raise AttributeError(_nearest(name, __all__, "pydl.nn"))
