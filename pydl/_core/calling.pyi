# SPDX-License-Identifier: BSD-3-Clause
from typing import Any

def set_hooks_of_all(hooks: Any) -> None: ...

class ForwardCaller:
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
