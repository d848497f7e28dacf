# SPDX-License-Identifier: BSD-3-Clause
from pydl._core.tape import TensorBase

def layer_norm_fwd(
    x: TensorBase, n: int, weight: TensorBase | None, bias: TensorBase | None, eps: float, centered: bool
) -> tuple[TensorBase, TensorBase]: ...
def layer_norm_bwd(
    dy: TensorBase,
    x: TensorBase,
    stats: TensorBase,
    n: int,
    weight: TensorBase | None,
    centered: bool,
    need_dx: bool,
    need_dw: bool,
    need_db: bool,
) -> tuple[TensorBase | None, TensorBase | None, TensorBase | None]: ...
def window_sum(x: TensorBase, below: int, above: int) -> TensorBase: ...
