# SPDX-License-Identifier: BSD-3-Clause
"""The header of a safetensors file: checked in full before anything is allocated for the tensors.

The file begins with the header's length N in 8 bytes, little-endian. Then follow N bytes of JSON:

{"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key": "text"}}

The rest are the elements, little-endian, row by row; the offsets count from their start and cover every byte once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

__all__ = ["HEADER_CAP", "METADATA", "NAMES", "Entry", "SafetensorError", "check_length", "parse"]

HEADER_CAP = 100_000_000
METADATA = "__metadata__"
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"), "U8": np.dtype("u1"), "I8": np.dtype("i1"), "I16": np.dtype("<i2"), "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"),
}  # fmt: skip
NAMES = {dtype.newbyteorder("="): name for name, dtype in DTYPES.items()}
HALF = {"F16": "float16", "BF16": "bfloat16"}
MAX_DIMS = 64
MAX_BYTES = 2**63 - 1
FOREIGN = (
    (b"PK\x03\x04", "a zip file, so probably a PyTorch .pt file"),
    (b"\x80", "a pickle, so probably an old PyTorch .pt file"),
    (b"version ", "a Git LFS pointer: run `git lfs pull` to get the file itself"),
)
PT_ADVICE = (
    ": .pt files are not read, and pickle is never run. Where PyTorch is installed, convert it:"
    " safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors')"
)


class SafetensorError(ValueError):
    """A file that is not a sound safetensors file, or holds what pydl cannot represent."""

    __module__ = "pydl.io.safetensors"  # where it is public


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a file: where its bytes are, and what they mean."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def check_length(first: bytes, n_bytes: int) -> int:
    """The header's length from the first 8 bytes of a file of `n_bytes`, or SafetensorError."""
    if len(first) < 8:
        raise SafetensorError(f"only {len(first)} bytes: a safetensors file has at least 8")
    length = int.from_bytes(first[:8], "little")
    if length <= min(HEADER_CAP, n_bytes - 8):
        return length
    for magic, what in FOREIGN:
        if first.startswith(magic):
            raise SafetensorError(f"this is {what}" + (PT_ADVICE if ".pt" in what else ""))
    if length > HEADER_CAP:
        raise SafetensorError(f"the header would take {length} bytes, more than the {HEADER_CAP} allowed")
    raise SafetensorError(f"the header would take {length} bytes, the file has {n_bytes - 8} after its first 8")


def parse(raw: bytes, n_data: int) -> tuple[dict[str, str], dict[str, Entry]]:
    """Metadata and entries, in the header's order, of the header `raw` before `n_data` bytes; or SafetensorError."""
    header = _json(raw)
    metadata = header.pop(METADATA, {})
    if type(metadata) is not dict or any(type(v) is not str for v in metadata.values()):
        raise SafetensorError(f"{METADATA} must be an object of strings")
    entries = {name: _entry(name, info) for name, info in header.items()}
    position, before = 0, "the start"
    for e in sorted(entries.values(), key=lambda e: (e.begin, e.end)):
        if e.begin != position:
            fault = "overlaps" if e.begin < position else "leaves a hole after"
            name = _short(e.name)
            raise SafetensorError(f"tensor {name} begins at byte {e.begin}, not {position}: it {fault} {before}")
        position, before = e.end, f"tensor {_short(e.name)}"
    if position != n_data:
        raise SafetensorError(f"the tensors take {position} bytes, the file has {n_data} for them")
    return metadata, entries


def _json(raw: bytes) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        raise SafetensorError("the header does not begin with '{'")
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except SafetensorError:
        raise
    except RecursionError:
        raise SafetensorError("the header is nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise SafetensorError(f"the header is not JSON in UTF-8: {error}") from None
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise SafetensorError(f"the header has the key {_short(name)} twice")
            seen.add(name)
    return result


def _no_constant(name: str) -> Any:
    raise SafetensorError(f"the header holds {name}, which is no JSON")


def _entry(name: str, info: Any) -> Entry:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise SafetensorError(f"tensor {_short(name)}: its name is no valid Unicode") from None
    where = f"tensor {_short(name)}"
    if type(info) is not dict or not {"dtype", "shape", "data_offsets"} <= info.keys():
        raise SafetensorError(f"{where}: needs dtype, shape and data_offsets")
    dtype = _dtype(where, info["dtype"])
    shape, offsets = _sizes(where, "shape", info["shape"]), _sizes(where, "data_offsets", info["data_offsets"])
    if len(shape) > MAX_DIMS:
        raise SafetensorError(f"{where}: {len(shape)} dimensions, at most {MAX_DIMS} are possible")
    # NumPy multiplies the sizes other than 0 even where the array is empty.
    if dtype.itemsize * prod(n for n in shape if n) > MAX_BYTES:
        raise SafetensorError(f"{where}: shape {_short(shape)} is more than 2^63 - 1 bytes")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise SafetensorError(f"{where}: data_offsets must be [begin, end], begin <= end, not {_short(list(offsets))}")
    n_bytes, given = dtype.itemsize * prod(shape), offsets[1] - offsets[0]
    if given != n_bytes:
        size = f"{info['dtype']} {_short(shape)}"
        raise SafetensorError(f"{where}: {size} takes {n_bytes} bytes, data_offsets give {given}")
    return Entry(name, dtype, shape, offsets[0], offsets[1])


def _dtype(where: str, name: Any) -> np.dtype[Any]:
    if type(name) is str and name in DTYPES:
        return DTYPES[name]
    if type(name) is str and name in HALF:
        raise SafetensorError(
            f"{where}: {HALF[name]} is not a storage type of pydl, which computes in float32 and float64;"
            " convert the file to F32 first"
        )
    raise SafetensorError(f"{where}: dtype {_short(name)} is none of {', '.join(DTYPES)}")


def _sizes(where: str, what: str, sizes: Any) -> tuple[int, ...]:
    if type(sizes) is not list or any(type(n) is not int or not 0 <= n <= MAX_BYTES for n in sizes):
        raise SafetensorError(f"{where}: {what} must be a list of integers from 0 to 2^63 - 1")
    return tuple(sizes)


def _short(value: object) -> str:
    """The value for a message: a hostile name of megabytes must not become the message."""
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."
