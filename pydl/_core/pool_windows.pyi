# SPDX-License-Identifier: BSD-3-Clause
class Geometry:
    in_sizes: tuple[int, ...]
    out_sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    n_elements: int
    def __init__(
        self,
        in_sizes: tuple[int, ...],
        out_sizes: tuple[int, ...],
        kernel: tuple[int, ...] | None,
        stride: tuple[int, ...] | None,
        padding: tuple[int, ...] | None,
        dilation: tuple[int, ...] | None,
        include_pad: bool = True,
        divisor: float = 0,
    ) -> None: ...
