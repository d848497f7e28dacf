# SPDX-License-Identifier: BSD-3-Clause
"""`pydl.save` and `pydl.load`: nested checkpoints in one safetensors file, without pickle.

The tensors are the file's tensors, named by their place ("model.0.weight"); what is around them is JSON in the metadata
(key `pydl.structure`). In it a list is a list, None, True, 3, 2.5 and "text" are themselves, and everything else is an
object with one key that says what it is: {"dict": [[key, value], ...]}, {"OrderedDict": [...]}, {"Counter": [...]},
{"tuple": [...]}, {"float": "nan"}, {"tensor": "name"}, {"leaf": "name"} (requires a gradient), {"parameter": "name"},
{"frozen": "name"} (a parameter that requires no gradient).
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any

from pydl._core.dtypes import device as Device
from pydl.io import safetensors
from pydl.io._header import METADATA, SafetensorError
from pydl.nn.parameter import Parameter
from pydl.tensor import Tensor

__all__ = ["load", "save"]

STRUCTURE = "pydl.structure"
DICTS: dict[str, type[dict[Any, Any]]] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
MAX_DEPTH = 100
MAX_DIGITS = 4000  # Python refuses to parse longer integers


def save(
    obj: object,
    f: str | os.PathLike[str] | IO[bytes],
    pickle_module: None = None,
    pickle_protocol: int | None = None,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write `obj` to a path or a binary file object, in the safetensors format whatever the name ends in.

    `obj` is made of tensors, dict (with str and int keys, in their order), OrderedDict, Counter, list, tuple, None,
    bool, int, float, str. A tensor that occurs twice (the same object, or the same memory seen with the same shape) is
    saved once and is one tensor after `load`. A dict of tensors is readable by every other safetensors reader, under
    its names.
    A path is replaced only by a whole file: a killed process or a full disk leaves the old one.

    Gradient: not saved; that a tensor requires one, or is a Parameter, is.
    Errors: TypeError naming the place of anything else in `obj`; ValueError for a container inside itself; OSError.
    Source: torch.save, whose `pickle_protocol` is accepted without effect; there is no pickle.

    Example:
        >>> import io, pydl
        >>> file = io.BytesIO()
        >>> pydl.save({"epoch": 3, "model": {"weight": pydl.ones(2)}, "betas": (0.9, 0.999)}, file)
        >>> pydl.load(io.BytesIO(file.getvalue()))
        {'epoch': 3, 'model': {'weight': tensor([1., 1.])}, 'betas': (0.9, 0.999)}
    """
    _no_pickle("save", pickle_module)
    encoder = _Encoder()
    structure = encoder.encode(obj, "obj", (), 0)
    metadata = {STRUCTURE: json.dumps(structure, separators=(",", ":"))}
    if isinstance(f, str | os.PathLike):
        safetensors.save_file(encoder.tensors, f, metadata)
    else:
        for piece in safetensors.pieces(encoder.tensors, metadata):
            f.write(piece)


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Device | str | Mapping[str, str] | Callable[..., Any] | None = None,
    pickle_module: None = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
) -> Any:
    """Read back what `save` wrote, from a path or from a binary file object (to its end).

    A safetensors file from elsewhere gives a dict of its tensors. `weights_only=False` reads the same: nothing in a
    file is ever executed. `map_location` may be anything that means the CPU; a function is accepted, without effect.

    Errors: ValueError (SafetensorError) for a damaged or foreign file, with what to do for a PyTorch `.pt` file;
    OSError; RuntimeError for another device. Source: torch.load.

    Example: see `save`.
    """
    _no_pickle("load", pickle_module)
    _check_location(map_location)
    if isinstance(f, str | os.PathLike):
        with safetensors.safe_open(f) as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
            name = f"{os.fspath(f)}: "
    else:
        tensors, metadata = safetensors.load_with_metadata(f.read())
        name = ""
    if STRUCTURE not in metadata:
        return tensors
    try:
        return _decode_all(metadata[STRUCTURE], tensors)
    except SafetensorError as error:
        raise SafetensorError(f"{name}{error}") from None


def _no_pickle(function: str, module: object) -> None:
    if module is not None:
        raise ValueError(f"{function}: pickle_module must be None: files are safetensors, pickle is never run")


def _check_location(location: Any) -> None:
    for place in location.values() if isinstance(location, Mapping) else [location]:
        if place is not None and not callable(place):
            Device(place)


class _Encoder:
    """Turns an object into JSON, and collects its tensors under unique names."""

    def __init__(self) -> None:
        self.tensors: dict[str, Any] = {}
        self._names: dict[object, str] = {}
        self._open: set[int] = set()

    def encode(self, obj: Any, place: str, path: tuple[str, ...], depth: int) -> Any:
        """JSON of `obj`, which is found at `place` ("obj['model']") and whose tensors are named by `path`."""
        if obj is None or type(obj) in (bool, str):
            return obj
        if type(obj) is int:
            if obj.bit_length() > 3.3 * MAX_DIGITS:
                raise ValueError(f"save: {place} is an integer of more than {MAX_DIGITS} digits")
            return obj
        if type(obj) is float:
            return obj if math.isfinite(obj) else {"float": str(obj)}
        if isinstance(obj, Tensor):
            return self._tensor(obj, path)
        if type(obj) not in (*DICTS.values(), list, tuple):
            raise TypeError(f"save: {place} is a {_kind(obj)}")
        if id(obj) in self._open:
            raise ValueError(f"save: {place} contains itself")
        if depth >= MAX_DEPTH:
            raise ValueError(f"save: {place} is nested more than {MAX_DEPTH} deep")
        self._open.add(id(obj))
        result = self._container(obj, place, path, depth + 1)
        self._open.remove(id(obj))
        return result

    def _container(self, obj: Any, place: str, path: tuple[str, ...], depth: int) -> Any:
        if isinstance(obj, dict):
            for key in obj:
                if type(key) not in (str, int):
                    raise TypeError(f"save: {place} has the key {key!r}, a {type(key).__name__}: keys are str or int")
            pairs = [[k, self.encode(v, f"{place}[{k!r}]", (*path, str(k)), depth)] for k, v in obj.items()]
            return {type(obj).__name__: pairs}
        items = [self.encode(v, f"{place}[{i}]", (*path, str(i)), depth) for i, v in enumerate(obj)]
        return items if isinstance(obj, list) else {"tuple": items}

    def _tensor(self, t: Any, path: tuple[str, ...]) -> dict[str, str]:
        a = t.detach().numpy()
        # An empty tensor has no memory to share; it is known by itself.
        memory: object = (a.__array_interface__["data"][0], a.shape, a.strides, a.dtype) if a.size else id(t)
        if memory not in self._names:
            name = ".".join(path) or "tensor"
            name = name.encode("utf-8", "backslashreplace").decode("utf-8")
            while name in self.tensors or name == METADATA:
                name += "_"
            self._names[memory] = name
            self.tensors[name] = t
        if isinstance(t, Parameter):
            kind = "parameter" if t.requires_grad else "frozen"
        else:
            kind = "leaf" if t.requires_grad else "tensor"
        return {kind: self._names[memory]}


def _kind(obj: object) -> str:
    """The type of what cannot be saved, and what to save instead where that is known."""
    name = type(obj).__name__
    if hasattr(obj, "state_dict"):
        return f"{name}, whose code cannot be saved: save its state_dict()"
    if hasattr(obj, "item") and getattr(obj, "ndim", None) == 0:
        return f"NumPy {name}: save it as a Python number, with .item()"
    if hasattr(obj, "__array_interface__"):
        return f"NumPy array ({name}): save it as a tensor, with pydl.from_numpy"
    return f"{name}: tensors, dict, list, tuple, None, bool, int, float and str can be saved"


def _decode_all(text: str, tensors: dict[str, Any]) -> Any:
    decoder = _Decoder(tensors)
    try:
        result = decoder.decode(json.loads(text, object_pairs_hook=_only_key), 0)
    except SafetensorError:
        raise
    except (RecursionError, ValueError) as error:
        raise SafetensorError(f"{STRUCTURE} is no JSON that pydl wrote: {str(error)[:80]}") from None
    if len(decoder.used) != len(tensors):
        name = next(name for name in tensors if name not in decoder.used)
        raise SafetensorError(f"{STRUCTURE} does not mention tensor {ascii(name)[:80]}")
    return result


def _only_key(pairs: list[tuple[str, Any]]) -> tuple[str, Any]:
    if len(pairs) != 1:
        raise SafetensorError(f"{STRUCTURE}: an object must have one key, not {len(pairs)}")
    return pairs[0]


class _Decoder:
    """Turns JSON back; an object {kind: content} of the JSON arrives as the pair (kind, content)."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self.tensors = tensors
        self.used: set[str] = set()
        self._made: dict[tuple[str, str], Any] = {}

    def decode(self, node: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise SafetensorError(f"{STRUCTURE} is nested more than {MAX_DEPTH} deep")
        if type(node) is list:
            return [self.decode(item, depth + 1) for item in node]
        if type(node) is not tuple:
            return node
        kind, content = node
        if kind in ("tensor", "leaf", "parameter", "frozen") and type(content) is str and content in self.tensors:
            return self._tensor(kind, content)
        if kind == "float" and content in ("inf", "-inf", "nan"):
            return float(content)
        if kind == "tuple" and type(content) is list:
            return tuple(self.decode(item, depth + 1) for item in content)
        if kind in DICTS and type(content) is list:
            return self._dict(DICTS[kind], content, depth)
        raise SafetensorError(f"{STRUCTURE}: {ascii(kind)[:40]} with {ascii(content)[:40]} means nothing here")

    def _dict(self, kind: type[dict[Any, Any]], pairs: list[Any], depth: int) -> dict[Any, Any]:
        result = kind()
        for pair in pairs:
            if type(pair) is not list or len(pair) != 2 or type(pair[0]) not in (str, int) or pair[0] in result:
                raise SafetensorError(f"{STRUCTURE}: a dict needs pairs of new key and value, not {ascii(pair)[:40]}")
            result[pair[0]] = self.decode(pair[1], depth + 1)
        return result

    def _tensor(self, kind: str, name: str) -> Any:
        self.used.add(name)
        base = self.tensors[name]
        if kind == "tensor":
            return base
        if (kind, name) not in self._made:
            if not base.is_floating_point():
                raise SafetensorError(f"{STRUCTURE}: tensor {ascii(name)[:80]} of integers cannot require a gradient")
            made = base.detach().requires_grad_() if kind == "leaf" else Parameter(base.detach(), kind == "parameter")
            self._made[kind, name] = made
        return self._made[kind, name]
