# SPDX-License-Identifier: BSD-3-Clause
"""Reader and writer of the safetensors format: names, types, shapes and raw elements; no code, no pickle.

The functions are those of the `safetensors.torch` module: `save_file`, `load_file`, `save`, `load`, and `safe_open` to
read single tensors of a large file. What the package writes is read here, and the other way round.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from pydl._core import tape
from pydl._core.dtypes import device as Device
from pydl.io._header import HEADER_CAP, METADATA, NAMES, Entry, SafetensorError, check_length, parse
from pydl.io.atomic import write_atomically
from pydl.tensor import Tensor

__all__ = ["SafetensorError", "load", "load_file", "safe_open", "save", "save_file"]

Array = np.ndarray[Any, np.dtype[Any]]
Path = str | os.PathLike[str]
Fill = Callable[[Array, int], None]  # (bytes to fill, offset of the first): reads a piece of the elements


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The tensors as the bytes of a safetensors file.

    Shapes: any; non-contiguous tensors are written row by row. Gradients are not saved.
    Errors: TypeError for a value that is not a Tensor, a name or metadata that is not text; ValueError for a reserved
    name.
    Source: safetensors.torch.save.

    Example:
        >>> import pydl
        >>> from pydl.io import safetensors
        >>> data = safetensors.save({"weight": pydl.ones(2, 3)})
        >>> len(data) % 8, safetensors.load(data)["weight"].shape
        (0, pydl.Size([2, 3]))
    """
    return b"".join(pieces(tensors, metadata))


def save_file(tensors: Mapping[str, Tensor], filename: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the tensors to `filename`, whole or not at all: a killed process or a full disk leaves the old file.

    Errors: as `save`, before anything is written; OSError. Source: safetensors.torch.save_file.

    Example:
        >>> import os, pydl, tempfile
        >>> from pydl.io import safetensors
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "model.safetensors")
        >>> safetensors.save_file({"bias": pydl.zeros(3)}, path, {"author": "me"})
        >>> safetensors.load_file(path)
        {'bias': tensor([0., 0., 0.])}
        >>> folder.cleanup()
    """
    parts = pieces(tensors, metadata)
    write_atomically(filename, lambda file: file.writelines(parts))


def pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> list[Any]:
    """What a file consists of, one after the other: the length, the header, the elements of each tensor, uncopied."""
    arrays: dict[str, Array] = {}
    for name, tensor in tensors.items():
        _check_text("a tensor's name", name)
        if name == METADATA:
            raise ValueError(f"save: a tensor cannot have the name {METADATA}, which the format reserves")
        if not isinstance(tensor, Tensor):
            raise TypeError(f"save: {name!r} is a {type(tensor).__name__}, not a Tensor")
        arrays[name] = tensor.detach().numpy()
    header: dict[str, Any] = {}
    if metadata:
        for key, value in metadata.items():
            _check_text("a key of the metadata", key)
            _check_text(f"metadata {key!r}", value)
        header[METADATA] = dict(metadata)
    # Large elements first: every tensor then begins at a multiple of its element size. The header keeps the order.
    order = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    offsets: dict[str, int] = {}
    n_bytes = 0
    for name in order:
        offsets[name] = n_bytes
        n_bytes += arrays[name].nbytes
    for name, a in arrays.items():
        span = [offsets[name], offsets[name] + a.nbytes]
        header[name] = {"dtype": NAMES[a.dtype], "shape": list(a.shape), "data_offsets": span}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > HEADER_CAP:
        raise ValueError(f"save: the header would take {len(text)} bytes, more than the {HEADER_CAP} allowed")
    return [len(text).to_bytes(8, "little"), text, *(_elements(arrays[name]) for name in order)]


def _elements(a: Array) -> Array:
    little = a.astype(a.dtype.newbyteorder("<"), order="C", copy=False)
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8)


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"save: {what} must be a str, not {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"save: {what} is no valid Unicode: {value[:60]!a}") from None


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file, in the header's order, each with memory of its own.

    Errors: SafetensorError (a ValueError) for anything but a sound file of types that pydl has.
    Source: safetensors.torch.load.

    Example:
        >>> from pydl.io import safetensors
        >>> safetensors.load(b"12")
        Traceback (most recent call last):
        ...
        pydl.io.safetensors.SafetensorError: only 2 bytes: a safetensors file has at least 8
    """
    return load_with_metadata(data)[0]


def load_with_metadata(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """As `load`, and the metadata."""
    start = 8 + check_length(data[:8], len(data))
    metadata, entries = parse(bytes(data[8:start]), len(data) - start)
    source = np.frombuffer(data, np.uint8)

    def fill(out: Array, begin: int) -> None:
        out[...] = source[start + begin : start + begin + out.size]

    return {name: _read(entry, fill) for name, entry in entries.items()}, metadata


def load_file(filename: Path, device: str | Device | int = "cpu") -> dict[str, Tensor]:
    """The tensors of the file, in the header's order, each with memory of its own.

    Everything in the header is checked first; then each tensor is read straight into its memory. (The file is not
    mapped: a mapped file that another process cuts short ends this one with a bus error.)

    Errors: SafetensorError (a ValueError) naming the file; OSError; RuntimeError for a device other than the CPU.
    Source: safetensors.torch.load_file. Example: see `save_file`.
    """
    with safe_open(filename, device=device) as file:
        return {name: file.get_tensor(name) for name in file.keys()}


class safe_open:
    """A safetensors file whose tensors are read one by one: `keys`, `metadata`, `get_tensor`, `get_slice`.

    Errors: SafetensorError (a ValueError) naming the file; OSError; KeyError for an unknown name.
    Source: safetensors.safe_open.

    Example:
        >>> import os, pydl, tempfile
        >>> from pydl.io import safetensors
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "model.safetensors")
        >>> safetensors.save_file({"weight": pydl.tensor([[1.0, 2.0], [3.0, 4.0]])}, path, {"author": "me"})
        >>> with safetensors.safe_open(path, framework="pt") as f:
        ...     f.keys(), f.metadata(), f.get_slice("weight")[1:, 0]
        (['weight'], {'author': 'me'}, tensor([3.]))
        >>> folder.cleanup()
    """

    def __init__(self, filename: Path, framework: str = "pt", device: str | Device | int = "cpu") -> None:
        if framework not in ("pt", "pytorch", "torch", "pydl"):
            raise ValueError(f"safe_open: framework is 'pt', not {framework!r}: the tensors are pydl's")
        Device(device)
        self._name = os.fspath(filename)
        self._file: IO[bytes] = open(filename, "rb", buffering=0)
        try:
            with self._named():
                n_bytes = os.fstat(self._file.fileno()).st_size
                length = check_length(self._file.read(8), n_bytes)
                raw = np.empty(length, np.uint8)
                self._start = 0
                self._fill(raw, 8)
                self._start = 8 + length
                self._metadata, self._entries = parse(raw.tobytes(), n_bytes - self._start)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def keys(self) -> list[str]:
        """The names of the tensors, in the header's order."""
        return list(self._entries)

    def offset_keys(self) -> list[str]:
        """The names of the tensors, in the order of their bytes."""
        return sorted(self._entries, key=lambda name: self._entries[name].begin)

    def metadata(self) -> dict[str, str] | None:
        """The file's metadata, None where it has none."""
        return dict(self._metadata) or None

    def get_tensor(self, name: str) -> Tensor:
        """The tensor of that name, read from the file."""
        with self._named():
            return _read(self._entry(name), self._fill)

    def get_slice(self, name: str) -> Slice:
        """The tensor of that name, of which only the indexed rows are read: `f.get_slice("weight")[10:20, ::2]`."""
        return Slice(self, self._entry(name))

    def _entry(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise KeyError(f"{self._name}: no tensor {name!r}, it has {len(self._entries)} others") from None

    def _fill(self, out: Array, begin: int) -> None:
        self._file.seek(self._start + begin)
        view, position = out.data, 0
        while position < out.size:
            count = self._file.readinto(view[position:])  # type: ignore[attr-defined]
            if not count:
                raise SafetensorError("the file became shorter while it was read")
            position += count

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Put the file's name in front of what is wrong with it."""
        try:
            yield
        except SafetensorError as error:
            raise SafetensorError(f"{self._name}: {error}") from None


class Slice:
    """Part of a tensor in a file; indexing reads the rows the first index covers, and no others."""

    def __init__(self, file: safe_open, entry: Entry) -> None:
        self._file, self._entry = file, entry

    def get_shape(self) -> list[int]:
        """The sizes of the whole tensor."""
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        """The element type by its name in the format, such as F32."""
        return NAMES[self._entry.dtype.newbyteorder("=")]

    def __getitem__(self, index: Any) -> Tensor:
        index = index if isinstance(index, tuple) else (index,)
        e = self._entry
        if not e.shape or not index or not isinstance(index[0], slice):
            whole = self._file.get_tensor(e.name).numpy()
            return tape.wrap(np.asarray(whole[index]).copy())
        start, stop, step = index[0].indices(e.shape[0])
        low, high = (start, max(start, stop)) if step > 0 else (min(start, stop) + 1, start + 1)
        row = (e.end - e.begin) // e.shape[0] if e.shape[0] else 0
        rows = Entry(e.name, e.dtype, (high - low, *e.shape[1:]), e.begin + low * row, e.begin + high * row)
        with self._file._named():
            part = _read(rows, self._file._fill).numpy()
        picked = part[::step] if step > 0 else part[::-1][::-step]
        return tape.wrap(picked[(slice(None), *index[1:])].copy())


def _read(entry: Entry, fill: Fill) -> Tensor:
    a = np.empty(entry.shape, entry.dtype)
    raw = a.reshape(-1).view(np.uint8)
    fill(raw, entry.begin)
    if entry.dtype.kind == "b" and raw.size and raw.max() > 1:
        raise SafetensorError(f"tensor {ascii(entry.name)[:80]}: a byte of a BOOL is {raw.max()}, neither 0 nor 1")
    return tape.wrap(a.astype(a.dtype.newbyteorder("="), copy=False))
