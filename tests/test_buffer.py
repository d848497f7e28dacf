# SPDX-License-Identifier: BSD-3-Clause
"""The buffer protocol: memoryviews share the tensor's memory."""

import numpy as np
import pytest

import pydl


def test_a_memoryview_shares_memory_shape_and_strides() -> None:
    x = pydl.arange(6, dtype=pydl.float32).reshape(2, 3)
    view = memoryview(x.t())
    assert (view.format, view.shape, view.strides, view.readonly) == ("f", (3, 2), (4, 12), False)
    view[2, 0] = 7.0
    assert x[0, 2].item() == 7.0


def test_the_memory_outlives_the_tensor() -> None:
    x = pydl.ones(1000)
    view = memoryview(x)
    del x
    pydl.zeros(1000)
    assert view[999] == 1.0


def test_read_only_memory_stays_read_only() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    assert memoryview(pydl.from_numpy(a)).readonly


@pytest.mark.parametrize("through", [lambda x: x, lambda x: x * 2])
def test_a_recorded_tensor_gives_no_buffer(through: object) -> None:
    x = through(pydl.ones(2).requires_grad_())  # type: ignore[operator]
    with pytest.raises(BufferError, match="requires grad"):
        memoryview(x)
    with pytest.raises(RuntimeError, match="requires grad"):
        np.asarray(x)
