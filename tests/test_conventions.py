# SPDX-License-Identifier: BSD-3-Clause
"""The conventions that can be read from the text: sizes of functions, parts of docstrings, the form of errors."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pydl
import pydl.autograd.function
import pydl.models
import pydl.nn.functional as F
from tests.cases import CASES
from tests.harness import Draw, bind, tensors

ROOT = Path(__file__).resolve().parent.parent
PYDL = ROOT / "pydl"

# ---- sizes -----------------------------------------------------------------------------------------------------------

LIMITS = {".py": 40, ".pyx": 60, ".c": 80, ".h": 80}  # lines of a function, its docstring not counted
LONGER = {
    ("pydl/utils/data/dataloader.py", "__init__"): "17 arguments, one a line, and as many attributes",
    ("pydl/autograd/gradcheck.py", "gradgradcheck"): "16 arguments, passed on by name",
    ("tests/test_cli_scripts.py", "test_run_trains_a_torch_script"): "half of it is the script",
    ("tests/test_conv_kernels.py", "test_errors"): "a list of wrong calls",
}


def statements(text: str) -> Iterator[ast.stmt]:
    """All of a file, without a look into their expressions, which are most of the tree."""
    todo: list[Any] = [ast.parse(text)]
    for node in todo:
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            todo += getattr(node, field, ())
    yield from todo[1:]


def python_functions(text: str) -> Iterator[tuple[str, int]]:
    for node in statements(text):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            n_lines = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node, clean=False) is not None:
                n_lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            yield node.name, n_lines


def cython_functions(text: str) -> Iterator[tuple[str, int]]:
    """By indentation, which is enough for sizes: from `def` or `cdef` to the last line indented more."""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        found = re.match(r"( *)(?:cdef|cpdef|def)\b(?!.*\bclass\b)[^=]*?(\w+)\(", line)
        if not found:
            continue
        end = i
        while lines[end].count("(") and not re.search(r":\s*(#.*)?$", lines[end]) and end + 1 < len(lines):
            end += 1
            if re.search(r":\s*(#.*)?$", lines[end]):
                break
        last = end
        for k in range(end + 1, len(lines)):
            if lines[k].strip():
                if len(lines[k]) - len(lines[k].lstrip()) <= len(found[1]):
                    break
                last = k
        docstring = re.search(r'"""(.*?)"""', "\n".join(lines[end + 1 : last + 1]), re.S)
        yield found[2], last - i + 1 - (docstring[0].count("\n") + 1 if docstring else 0)


def c_functions(text: str) -> Iterator[tuple[str, int]]:
    """A head starts in the first column and ends with a brace; the brace in the first column ends the body."""
    lines, k = text.splitlines(), 0
    while k < len(lines):
        start, k = k, k + 1
        if not re.match(r"(?!typedef|extern|enum|struct)[A-Za-z_]", lines[start]):
            continue
        end = next((i for i in range(start, len(lines)) if re.search(r"[{;}]\s*$", lines[i])), start)
        named = re.search(r"(\w+)\(", lines[start])
        if named and lines[end].endswith("{"):
            k = next(i for i in range(end, len(lines)) if lines[i].startswith("}"))
            yield named[1], k - start + 1


READERS = {".py": python_functions, ".pyx": cython_functions, ".c": c_functions, ".h": c_functions}


def sources() -> list[Path]:
    folders = ("pydl", "csrc", "bench", "tests", "docs")
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in LIMITS)


@cache
def functions_of(path: Path) -> list[tuple[str, int]]:
    return list(READERS[path.suffix](path.read_text(encoding="utf-8")))


@pytest.mark.sources
def test_no_function_is_longer_than_its_limit() -> None:
    long = {}
    for path in sources():
        for name, n_lines in functions_of(path):
            if n_lines > LIMITS[path.suffix]:
                long[path.relative_to(ROOT).as_posix(), name] = n_lines
    assert {k: n for k, n in long.items() if k not in LONGER} == {}, "divide them, or give a reason in LONGER"
    assert set(LONGER) <= set(long), "no longer too long: take it out of LONGER"


@pytest.mark.sources
def test_the_readers_see_functions() -> None:
    """The limits mean something only if the readers count what is there."""
    assert list(python_functions("def f(a,\n      b):\n    '''1\n    2'''\n    return a\n")) == [("f", 3)]
    cython = "cdef int f(int a,\n           int b) noexcept:\n    return a\n\ndef g(): pass\n"
    assert list(cython_functions(cython)) == [("f", 3), ("g", 1)]
    assert list(c_functions("static int f(int a,\n             int b) {\n    return a;\n}\n")) == [("f", 4)]
    counted = {s: sum(len(functions_of(p)) for p in sources() if p.suffix == s) for s in LIMITS}
    assert counted[".py"] > 3000 and counted[".pyx"] > 700 and counted[".h"] > 200, counted


# ---- docstrings ------------------------------------------------------------------------------------------------------

PARTS = {
    "shapes": r"\b[Ss]hapes?\b",
    "gradient": r"\b[Gg]radients?\b|[Dd]ifferentiable",
    "errors": r"\b[Ee]rrors?\b|\bDetails: `",
    "source": r"\bSource: ",
    "example": r"^ *Example:?$",
}
OPERATIONS = sorted({*F.__all__, *pydl.ops.__all__})


def missing(function: Any) -> list[str]:
    return [part for part, pattern in PARTS.items() if not re.search(pattern, function.__doc__ or "", re.M)]


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_docstring_of_an_operation_has_all_parts(name: str) -> None:
    function = getattr(F, name, None) or getattr(pydl.ops, name)
    if name.endswith("_"):  # in place: the operation of that name says the rest
        assert "source" not in missing(function)
    else:
        assert missing(function) == [], "CONTRIBUTING.md, Adding an operation: the parts of a docstring"


CONTAINERS = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"}
LAYERS = sorted(set(pydl.nn.modules.__all__) - CONTAINERS)
OFFERED = [
    (module, name)
    for module in (pydl.nn.init, pydl.nn.utils, pydl.nn.utils.rnn, pydl.optim, pydl.optim.lr_scheduler, pydl.models)
    for name in module.__all__
    if callable(getattr(module, name))
]


@pytest.mark.parametrize("name", LAYERS)
def test_the_docstring_of_a_layer_has_all_parts(name: str) -> None:
    layer = getattr(pydl.nn, name)
    if "Details: `nn.functional." in layer.__doc__:  # shapes, gradient and errors stand there
        assert not {"source", "example"} & set(missing(layer))
    else:
        assert missing(layer) == []


@pytest.mark.parametrize(("module", "name"), OFFERED, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_the_docstring_of_what_is_offered_has_a_source_and_an_example(module: Any, name: str) -> None:
    assert not {"source", "example"} & set(missing(getattr(module, name)))


# ---- errors ----------------------------------------------------------------------------------------------------------

# Words of Python or of PyTorch that name what they are about in their own way.
OWN_WORDS = (
    r"len\(\) of", r"iteration over", r"~ \(", r"dictionary is empty", r"'.*' object has no attribute",
    r"module '.*' has no attribute", r"Boolean value of Tensor", r"Can't (call numpy|export)", r"The \{\} given to ",
    r"The function given to \{\}", r"The Tensor returned by the function given to", r"The vector \{\} can only be None",
    r"[Oo]nly (one element tensors|integer tensors|Tensors created explicitly)", r"a Tensor with \{\} elements",
)  # fmt: skip
# They stand behind others: what a part of a file lacks behind the file's name, operating systems' errors in theirs.
INNER = {"pydl/text/vocabulary.py": r"its? ", "pydl/io/atomic.py": r"21"}


@cache
def raised(path: Path) -> list[tuple[int, str, str]]:
    """Line, class and text of each error that is raised with a text; what is interpolated is {}."""
    calls = [
        (node.lineno, node.exc)
        for node in statements(path.read_text(encoding="utf-8"))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    ]
    return [(line, ast.unparse(call.func), "".join(map(template, call.args[:1]))) for line, call in calls]


def template(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return str(node.value) if isinstance(node, ast.Constant) else "{}"


@pytest.mark.sources
def test_errors_say_who_speaks() -> None:
    """`name: what`, or a sentence that begins with a public name."""
    rooms = (pydl, pydl.Tensor, pydl.nn, pydl.optim, pydl.utils.data, pydl.autograd, pydl.autograd.function.FunctionCtx)
    public = {*OPERATIONS, *(name for room in rooms for name in dir(room))}
    nameless = []
    for path in sorted(PYDL.rglob("*.py")):
        if path.relative_to(PYDL).parts[0] in ("_core", "cli"):
            continue
        for line, error, text in raised(path):
            place = path.relative_to(ROOT).as_posix()
            first = re.match(r"\w+", text)
            named = text.startswith("{}") or re.match(r"[^:]{1,70}?:\s", text) or (first and first[0] in public)
            own = [*OWN_WORDS, INNER.get(place, "$")]
            judged = error.endswith(("SafetensorError", "GradcheckError"))  # of a file, of a function: one caller each
            if not (named or judged or any(re.match(words, text) for words in own)):
                nameless.append(f"{place}:{line}: {error}: {text}")
    assert nameless == []


WRONG = ("text", None, object(), [1.0, 2.0])


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name in CASES and CASES[name].call is None])
def test_a_wrong_type_is_said_in_the_operations_words(name: str) -> None:
    """Each argument of one call in turn is text, None, an object or a list: never an AttributeError of the inside."""
    case = CASES[name]
    sample = next(s for s in case.samples(Draw(name)) if s.args)
    arguments = tensors(pydl, sample)[0].args
    for i, right in enumerate(arguments):
        for wrong in WRONG[:1] + WRONG[2:3] if right is None else WRONG:
            try:
                bind(pydl, name, case)(*arguments[:i], wrong, *arguments[i + 1 :], **sample.kwargs)
            except Exception as error:
                said = str(error)
                assert not isinstance(error, (AttributeError, KeyError, UnboundLocalError)), f"argument {i}: {error!r}"
                foreign = re.search(
                    r"object is not (iterable|callable|subscript)|could not be broadcast together", said
                )
                assert not foreign, f"argument {i} {wrong!r}: {error!r}"


@pytest.mark.sources
def test_errors_have_a_text() -> None:
    """But for methods that a subclass writes."""
    silent = []
    for path in sorted(PYDL.rglob("*.py")):
        silent += [f"{path}:{line}" for line, error, text in raised(path) if not text and hasattr(builtins, error)]
    assert silent == []


# ---- kernels ---------------------------------------------------------------------------------------------------------

WITHOUT_CALLER = {
    "add_scaled": "x + alpha · y makes two passes now and is to make one",
}


def entries(text: str) -> dict[str, list[str]]:
    """The names in each list X(…) X(…) of a header, by the name of the list."""
    joined = text.replace("\\\n", " ")
    return {m[1]: re.findall(r"X\((\w+)", m[2]) for m in re.finditer(r"#define (PYDL_\w+)\(X\)(.*)", joined)}


@pytest.mark.sources
def test_every_kernel_has_a_caller() -> None:
    files = [p for p in (PYDL / "_core").glob("*.p[yx][xd]") if p.stem != "kernels"]
    code = re.sub(r"#.*", "", "\n".join(p.read_text(encoding="utf-8") for p in files))
    called = set(re.findall(r"\w+", code)) | {name.split("_", 2)[2] for name in re.findall(r"PYDL_[A-Z]+_\w+", code)}
    lists = {n: e for p in (ROOT / "csrc").glob("*kernels.h") for n, e in entries(p.read_text()).items()}
    names = {name for n, found in lists.items() if n != "PYDL_FAMILIES" for name in found}
    assert len(names) > 150
    assert names - called - set(WITHOUT_CALLER) == set(), "kernels that only tests call"
    assert set(WITHOUT_CALLER) <= names - called, "called now: take it out of WITHOUT_CALLER"
