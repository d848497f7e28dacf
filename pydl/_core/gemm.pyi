# SPDX-License-Identifier: BSD-3-Clause
PATHS: dict[str, int]

def product_at(
    f64: bool,
    sizes: tuple[int, int, int, int],
    a: tuple[int, int, int, int],
    b: tuple[int, int, int, int],
    c: tuple[int, int, int],
    bias: int,
    flags: int,
    threads: int,
    path: str,
) -> None: ...
