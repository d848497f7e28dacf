# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable
from typing import Any

def set_advanced_indexing(get: Callable[[Any, Any], Any], set: Callable[[Any, Any, Any], None]) -> None: ...
