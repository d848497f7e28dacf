# SPDX-License-Identifier: BSD-3-Clause
"""What mypy tells users: names that are loaded later, operations, methods and layers have their types.

Read by mypy, never run. A name that does not exist is an error: the ignored one would be reported if it were not.
"""

from typing import assert_type

import pydl
import pydl.nn.functional as F
from pydl import Size, Tensor, nn, optim

x = pydl.ones(2, 3, dtype=pydl.float64)
assert_type(x, Tensor)
assert_type(x.shape, Size)
assert_type(pydl.conv2d(x, x, padding="same"), Tensor)
assert_type(F.conv2d(x, x, stride=(1, 2)), Tensor)
assert_type(pydl.prelu(x, x), Tensor)
assert_type(pydl.softmax(x, 0), Tensor)
assert_type(pydl.add(x, 1, alpha=2), Tensor)
assert_type(pydl.cat([x, x], dim=1), Tensor)
assert_type(x.softmax(0).exp(), Tensor)
assert_type(x.view(3, 2) + 1, Tensor)
assert_type(x.remainder(2).reshape(-1), Tensor)
assert_type(x.float().contiguous().normal_().to(pydl.float32), Tensor)
assert_type(x.new_zeros(2).detach(), Tensor)
optimizer = optim.Adam(nn.Linear(2, 3).parameters(), lr=1e-3)
F.cross_entropy(nn.Linear(2, 3)(x), pydl.zeros(2, dtype=pydl.int64)).backward()
pydl.save({"x": x}, "x.safetensors")
unknown = pydl.no_such_name  # type: ignore[attr-defined]
