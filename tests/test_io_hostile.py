# SPDX-License-Identifier: BSD-3-Clause
"""Files that lie, and writes that are cut short: a clear error or the old file, never a crash and never code run."""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import stat
import subprocess
import sys
import zipfile

import pytest

import pydl
from pydl.io import safetensors as st


def raw_file(header, data=b"", length=None):
    """A file with that header (an object or bytes), whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


A = tensor([2], 0, 8)
HOSTILE = {
    "empty": (b"", "only 0 bytes"),
    "seven bytes": (b"\0" * 7, "only 7 bytes"),
    "header of 2^64 - 1": (b"\xff" * 8 + b"{}", "more than the 100000000"),
    "header above the cap": (raw_file(b"{}", length=100_000_001), "more than the 100000000"),
    "header beyond the end": (raw_file(b"{}", length=3), "the file has 2"),
    "header of nothing": (raw_file(b""), "begin with '{'"),
    "not an object": (raw_file(b"[]"), "begin with '{'"),
    "space before the object": (raw_file(b" {}"), "begin with '{'"),
    "not JSON": (raw_file(b"{'a': 1}"), "not JSON"),
    "cut JSON": (raw_file(b'{"a": {"dtype": "F32"'), "not JSON"),
    "two objects": (raw_file(b"{}{}"), "not JSON"),
    "not UTF-8": (raw_file(b'{"\xff\xfe": 1}'), "not JSON in UTF-8"),
    "nested deeply": (raw_file(b'{"a":' * 100_000), "nested too deeply"),
    "NaN": (raw_file(b'{"a": NaN}'), "NaN"),
    "integer of 5000 digits": (raw_file(b'{"a": ' + b"9" * 5000 + b"}"), "not JSON"),
    "entry is no object": (raw_file({"a": 3}), "needs dtype, shape"),
    "no shape": (raw_file({"a": {"dtype": "F32", "data_offsets": [0, 0]}}), "needs dtype, shape"),
    "unknown dtype": (raw_file({"a": tensor([2], 0, 8, "Q32")}, b"\0" * 8), "is none of"),
    "dtype is a list": (raw_file({"a": tensor([2], 0, 8, ["F32"])}, b"\0" * 8), "is none of"),
    "unsigned 64": (raw_file({"a": tensor([1], 0, 8, "U64")}, b"\0" * 8), "is none of"),
    "half": (raw_file({"a": tensor([4], 0, 8, "F16")}, b"\0" * 8), "float16 is not a storage type"),
    "bfloat16": (raw_file({"a": tensor([4], 0, 8, "BF16")}, b"\0" * 8), "bfloat16 is not a storage type"),
    "negative size": (raw_file({"a": tensor([-2], 0, 8)}, b"\0" * 8), "integers from 0"),
    "two negative sizes": (raw_file({"a": tensor([-1, -2], 0, 8)}, b"\0" * 8), "integers from 0"),
    "size is a float": (raw_file({"a": tensor([2.0], 0, 8)}, b"\0" * 8), "integers from 0"),
    "size is true": (raw_file({"a": tensor([True, 2], 0, 8)}, b"\0" * 8), "integers from 0"),
    "size of 2^63": (raw_file({"a": tensor([0, 2**63], 0, 0)}), "integers from 0"),
    "product wraps to 0": (raw_file({"a": tensor([2**32, 2**32], 0, 0)}), "more than 2\\^63"),
    "product wraps to 8 bytes": (raw_file({"a": tensor([2**62 + 2], 0, 8)}, b"\0" * 8), "more than 2\\^63"),
    "empty, other sizes overflow": (raw_file({"a": tensor([0, 2**40, 2**40], 0, 0)}), "more than 2\\^63"),
    "65 dimensions": (raw_file({"a": tensor([1] * 65, 0, 4)}, b"\0" * 4), "65 dimensions"),
    "claims a terabyte": (raw_file({"a": tensor([2**38], 0, 2**40)}, b"\0" * 8), "the file has 8"),
    "too many bytes for the shape": (raw_file({"a": tensor([2], 0, 12)}, b"\0" * 12), "data_offsets give 12"),
    "too few bytes for the shape": (raw_file({"a": tensor([2], 0, 4)}, b"\0" * 4), "data_offsets give 4"),
    "begin after end": (raw_file({"a": tensor([0], 8, 0)}, b"\0" * 8), "begin <= end"),
    "three offsets": (raw_file({"a": {**A, "data_offsets": [0, 8, 8]}}, b"\0" * 8), "begin, end"),
    "a million offsets": (raw_file({"a": {**A, "data_offsets": [0] * 10**5}}, b"\0" * 8), "begin, end"),
    "sizes of 2^62 in 64 dimensions": (raw_file({"a": tensor([2**62] * 64, 0, 8)}, b"\0" * 8), "more than 2\\^63"),
    "negative offset": (raw_file({"a": tensor([2], -8, 0)}, b"\0" * 8), "integers from 0"),
    "hole at the start": (raw_file({"a": tensor([2], 4, 12)}, b"\0" * 12), "not 0: it leaves a hole after the start"),
    "hole in the middle": (raw_file({"a": A, "b": tensor([2], 12, 20)}, b"\0" * 20), "leaves a hole after"),
    "overlap": (raw_file({"a": A, "b": tensor([2], 4, 12)}, b"\0" * 12), "overlaps"),
    "the same bytes twice": (raw_file({"a": A, "b": A}, b"\0" * 8), "overlaps"),
    "trailing byte": (raw_file({"a": A}, b"\0" * 9), "take 8 bytes, the file has 9"),
    "trailing bytes without tensors": (raw_file({}, b"x"), "take 0 bytes, the file has 1"),
    "data cut": (raw_file({"a": A}, b"\0" * 7), "take 8 bytes, the file has 7"),
    "tensor twice": (raw_file(b'{"a": %s, "a": %s}' % ((json.dumps(A).encode(),) * 2), b"\0" * 8), "'a' twice"),
    "key of an entry twice": (raw_file(b'{"a": {"dtype": "F32", "dtype": "I32"}}'), "'dtype' twice"),
    "metadata twice": (raw_file(b'{"__metadata__": {}, "__metadata__": {}}'), "'__metadata__' twice"),
    "metadata is a list": (raw_file({"__metadata__": []}), "object of strings"),
    "metadata of numbers": (raw_file({"__metadata__": {"a": 1}}), "object of strings"),
    "half a surrogate in a name": (raw_file({"\ud800": A}, b"\0" * 8), "no valid Unicode"),
    "a BOOL of 2": (raw_file({"a": tensor([2], 0, 2, "BOOL")}, b"\1\2"), "neither 0 nor 1"),
    "a name of a megabyte": (raw_file({"a" * 10**6: tensor([2], 0, 4)}, b"\0" * 4), "aaa\\.\\.\\.:"),
}
# The package takes these: it has these types, keeps the last of two equal keys, and and looks neither at
# the elements nor at the sizes of empty tensors.
ONLY_OURS = {
    "half", "bfloat16", "unsigned 64", "a BOOL of 2", "key of an entry twice", "65 dimensions", "tensor twice",
    "metadata twice", "empty, other sizes overflow", "space before the object", "size of 2^63",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name, tmp_path):
    data, message = HOSTILE[name]
    with pytest.raises(st.SafetensorError, match=message) as caught:
        st.load(data)
    assert isinstance(caught.value, ValueError) and len(str(caught.value)) < 500
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    for read in (st.load_file, pydl.load):
        with pytest.raises(st.SafetensorError, match=message) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
    package = pytest.importorskip("safetensors", reason="compares with the safetensors package")
    if name not in ONLY_OURS:
        with pytest.raises(package.SafetensorError):
            package.deserialize(data)


def test_every_truncation_is_refused():
    data = st.save({"a": pydl.ones(2, 3), "b": pydl.ones(3, dtype=pydl.int8)}, {"k": "v"})
    for n in range(len(data)):
        with pytest.raises(st.SafetensorError):
            st.load(data[:n])


def test_changed_bytes_give_tensors_or_a_clear_error():
    """The header with any byte changed: never another exception, and what loads holds as many bytes as the file."""
    data = st.save({"a": pydl.ones(2, 3), "b": pydl.ones(3, dtype=pydl.int8)}, {"k": "v"})
    n = 8 + int.from_bytes(data[:8], "little")
    n_refused = 0
    for i, new in itertools.product(range(n), b'\x00\x7f\xff"{}[]0-9,'):
        try:
            loaded = st.load(data[:i] + bytes([new]) + data[i + 1 :])
        except st.SafetensorError:
            n_refused += 1
        else:
            assert sum(t.numpy().nbytes for t in loaded.values()) == 27
    assert n_refused > 6 * n


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    path = tmp_path / "x.safetensors"
    st.save_file({"a": pydl.ones(1000), "b": pydl.ones(1000)}, path)
    with st.safe_open(path) as f:
        os.truncate(path, 5000)
        assert f.get_tensor("a").shape == (1000,)
        with pytest.raises(st.SafetensorError, match="became shorter"):
            f.get_tensor("b")


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pt_files_are_named_and_never_unpickled(tmp_path):
    bomb = pickle.dumps(Bomb(tmp_path / "executed"), protocol=2)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as z:
        z.writestr("archive/data.pkl", bomb)
    path = tmp_path / "model.pt"
    for data, what in ((bomb, "a pickle"), (zipped.getvalue(), "a zip file"), (b"version https://git-lfs", "Git LFS")):
        path.write_bytes(data)
        for source, weights_only in itertools.product((str, io.BytesIO), (True, False)):
            with pytest.raises(ValueError, match=what) as caught:
                pydl.load(path if source is str else source(data), weights_only=weights_only)
        assert "safetensors.torch.save_file" in str(caught.value) or what == "Git LFS"
    assert not (tmp_path / "executed").exists()
    with pytest.raises(ValueError, match="pickle is never run"):
        pydl.load(path, pickle_module=pickle)


@pytest.mark.parametrize(
    "structure",
    [
        "", "[", "[" * 5000, '{"dict": 3}', '{"dict": [["a"]]}', '{"dict": [["a", 1], ["a", 2]]}',
        '{"dict": [[1.5, 1]]}', '{"dict": [[true, 1]]}', '{"tensor": "nope"}', '{"tensor": ["a"]}',
        '{"tensor": "a", "x": 1}', '{"call": "a"}', '{"float": "1e5"}', '{"float": 3}',
        '{"tuple": 3}', '{"leaf": "a"}', '{"parameter": "a"}', "null", "{}",
        "[" * 150 + "]" * 150, "9" * 5000, '{"dict": [[["x"], 1]]}',
    ],
    ids=lambda s: s[:30],
)  # fmt: skip
def test_hostile_structures(structure):
    data = st.save({"a": pydl.arange(2)}, {"pydl.structure": structure})
    with pytest.raises(st.SafetensorError, match=r"pydl\.structure"):
        pydl.load(io.BytesIO(data))


# ------------------------------------------------------------------------------------------------ torn writes


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    pydl.save({"a": pydl.ones(3)}, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as m:
            m.setattr(os, function, full)
            with pytest.raises(OSError, match="No space left"):
                pydl.save({"a": pydl.ones(300)}, path)
        assert os.listdir(tmp_path) == ["x.safetensors"] and path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs setrlimit")
def test_a_full_disk_leaves_the_old_file(tmp_path):
    program = """
import resource, signal, sys, pydl
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
pydl.save({"w": pydl.ones(100)}, sys.argv[1])
try:
    pydl.save({"w": pydl.zeros(10_000)}, sys.argv[1])
except OSError as error:
    print(error.errno, pydl.load(sys.argv[1])["w"].sum().item())
"""
    path = tmp_path / "x.safetensors"
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["27", "100.0"], done.stderr
    assert os.listdir(tmp_path) == ["x.safetensors"]


def test_permissions_links_and_devices(tmp_path):
    path, link = tmp_path / "x", tmp_path / "link"
    old = os.umask(0o027)
    try:
        pydl.save([1], path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    link.symlink_to(path)
    pydl.save([2], link)
    assert link.is_symlink() and pydl.load(path) == [2] and stat.S_IMODE(path.stat().st_mode) == 0o600
    pydl.save([3], os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(IsADirectoryError):
        pydl.save([4], tmp_path)


SAVE_LOOP = """
import os, random, signal, sys, time, pydl
path, kills = sys.argv[1], int(sys.argv[2])
rng, last = random.Random(0), 0
def save(n):
    pydl.save({"n": n, "w": pydl.full((20_000,), float(n)), "b": pydl.full((3,), float(n))}, path)
def dying(name, left):
    call = getattr(os, name)
    def counted(*a, **k):
        left.pop()
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*a, **k)
    return counted
save(0)
for i in range(kills):
    planned = i + 1 if i < 24 else 0  # the call of the system before which it dies; later ones at any moment
    child = os.fork()
    if child == 0:
        if planned:
            left = [None] * planned
            for name in ("open", "chmod", "fsync", "replace"):
                setattr(os, name, dying(name, left))
        n = last
        while True:
            n += 1
            save(n)
    if not planned:
        time.sleep(rng.uniform(0.001, 0.02))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    state = pydl.load(path)
    n = state["n"]
    assert n >= last and bool((state["w"] == n).all()) and bool((state["b"] == n).all()), (n, last)
    if planned:  # a save makes six calls, the fourth of them puts the file in its place
        assert n == last + (planned + 1) // 6, (planned, n, last)
    last = n
print(len(os.listdir(os.path.dirname(path))) - 1)
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY") or not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_in_a_save_loop_loses_nothing(tmp_path):
    """Children are killed before each call of the system, then at random: the file is whole and not older."""
    command = [sys.executable, "-c", SAVE_LOOP, str(tmp_path / "x.safetensors"), "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 12  # of the first 24 every second one died between a temporary file and its place
