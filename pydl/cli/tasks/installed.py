# SPDX-License-Identifier: BSD-3-Clause
"""Files of data that come with other distributions, read without importing them."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

from pydl.cli.refusal import Refusal

__all__ = ["find"]


def find(
    files: tuple[str, ...], folder: str | None, package: str, inside: str, command: str, title: str, get: str
) -> tuple[str, ...]:
    """The paths of the files: in the user's folder, or else in the folder `inside` of an installed package.

    Refusal, with how to get them, where they are in neither.
    """
    place = folder
    if place is None:
        spec = PathFinder.find_spec(package, sys.path)  # finds the package without running any of it
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        place = os.path.join(places[0], *inside.split("/")) if places else None
    paths = tuple(os.path.join(place, name) for name in files) if place is not None else ()
    if not paths or not all(map(os.path.isfile, paths)):
        where = f"not in {place}" if place is not None else "not part of pydl"
        names = " and ".join(files)
        raise Refusal(f"{title}: {where}. {get}, or give the folder of {names} by --data", command)
    return paths
