"""Hostile inputs for parsers, and the property that every parser of untrusted input has.

    @fuzz
    @given(changed_json({"version": 1}))
    def test_a_record(data: bytes) -> None:
        holds(lambda: parse(data))

A parser returns a value or raises a :class:`StarfreightError`, in bounded time and memory; the error is short
and cannot steer a terminal. By default each test tries a few examples, always the same ones.
``STARFREIGHT_FUZZ_EXAMPLES=5000`` tries that many, others in each run, and ``STARFREIGHT_FUZZ_MINUTES=10``
goes on for ten minutes a file, shared by its tests. A failure prints the example.

Inputs that once failed are kept in ``tests/fuzz/cases``: ``FILE/TEST/CASE/ARGUMENT``. Each test tries its
cases first. With ``STARFREIGHT_FUZZ_FINDINGS=DIRECTORY`` findings are written there in the same layout.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import io
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, example, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from starfreight.console import Console
from starfreight.errors import StarfreightError

CASES = Path(__file__).parents[1] / "fuzz" / "cases"
"""Inputs that once failed: ``FILE/TEST/CASE/ARGUMENT``."""
SECONDS = 5.0
"""Processor time of one example; real ones take milliseconds."""
MEGABYTES = 512
"""Memory that one example may add to the process."""

MINUTES = float(os.environ.get("STARFREIGHT_FUZZ_MINUTES", "0"))
"""Time for the tests of a file together; with zero, each runs once."""
LONGEST = 80_000
"""Characters of an error as printed, with a few lines' worth of escapes."""

_FINDINGS = os.environ.get("STARFREIGHT_FUZZ_FINDINGS")
_CHOSEN = os.environ.get("STARFREIGHT_FUZZ_EXAMPLES", "500" if MINUTES else None)
EXAMPLES = int(_CHOSEN or 40)

_SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=_CHOSEN is None,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
_SLOW = settings(_SETTINGS, max_examples=max(3, EXAMPLES // 20))


def fuzz(test: Any) -> Any:
    """Makes a fuzz test of one that hypothesis gives inputs to."""
    return _SETTINGS(_with_cases(test))


def slow_fuzz(test: Any) -> Any:
    """The same, for parsers that start a process."""
    return _SLOW(_with_cases(test))


def _with_cases(test: Any) -> Any:
    """Adds the kept cases of a test, and keeps what fails."""
    inner = test.hypothesis.inner_test
    name = inner.__qualname__.split(".")[0]
    folder = Path(Path(inspect.getfile(inner)).stem.removeprefix("test_"), name.removeprefix("test_"))
    parameters = inspect.signature(inner).parameters
    given = [each for each in parameters if each not in inspect.signature(test).parameters]

    @functools.wraps(inner)
    def keeping(*arguments: Any, **named: Any) -> Any:
        try:
            return inner(*arguments, **named)
        except HypothesisException:
            raise
        except Exception:
            values = inspect.signature(inner).bind(*arguments, **named).arguments
            _keep(folder, {each: values[each] for each in given})
            raise

    test.hypothesis.inner_test = keeping
    for case in sorted((CASES / folder).glob("*/")):
        values = {each: _read_case(case / each, parameters[each].annotation) for each in given}
        test = example(**values)(test)
    return test


def _read_case(path: Path, kind: str) -> bytes | str:
    data = path.read_bytes()
    return data if kind == "bytes" else data.decode("utf-8", "surrogatepass")


def _keep(folder: Path, values: dict[str, Any]) -> None:
    """Writes a finding. Hypothesis repeats its smallest one last, which replaces the others."""
    if _FINDINGS is None:
        return
    case = Path(_FINDINGS, folder, "finding")
    case.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        (case / name).write_bytes(data)


class TooSlow(AssertionError):
    """A parser has used up its processor time."""


def holds(parse: Callable[[], object]) -> None:
    """Runs a parser: a value or a StarfreightError, in bounded time and memory."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"no result after {SECONDS} s of processor time")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    earlier = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        parse()
    except StarfreightError as error:
        assert error.what and error.exit_code in (1, 2, 3, 4, 75)
        _check_printed(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    assert added < MEGABYTES, f"the parser took {added} MB"


def _check_printed(error: StarfreightError) -> None:
    """An error is short, has three lines of its own and steers no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        Console(json_output=True).error(error)
    assert json.loads(out.getvalue())["error"]["exit_code"] == error.exit_code
    for text in (out.getvalue(), err.getvalue()):
        assert len(text) < LONGEST, f"an error of {len(text):,} characters"
        assert all(each.isprintable() or each in "\n\t\u3000" or each.isspace() for each in text)
    # The lines of quoted text are indented, so that they cannot pass for the error's own.
    own = [line for line in err.getvalue().split("\n")[:-1] if not line.startswith("    ")]
    assert [line.split(":")[0].strip() for line in own] in (
        ["Error"], ["Error", "where"], ["Error", "next"], ["Error", "where", "next"],
    ), err.getvalue()  # fmt: skip
    assert "Traceback (most" not in err.getvalue()


_ODD_TEXTS = (
    "", " ", "\0", "\n", "\x1b]0;x\x07", "\x9b31m", "\u202e", "\ud800", "..", "../../etc/passwd",
    "/etc/passwd", "a" * 5000, "-", "--x", "%00", "$(id)", "\u0661", "9" * 30, "sha256:" + "0" * 64,
    "(((((", "((a+)+)+$",
    "file:///etc/passwd", "1e999", "NaN",
)  # fmt: skip
_ODD_NUMBERS = (
    0, -1, 1 << 31, 1 << 63, 1 << 64, 10**400, -(10**400), 1e-320, 1e308, float("inf"), float("nan"),
)  # fmt: skip

texts = st.one_of(st.sampled_from(_ODD_TEXTS), st.text(max_size=40))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from(_ODD_NUMBERS), st.floats(), texts
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
_DEEP = st.sampled_from([b"[" * 3000, b'{"a":' * 3000, b"[" * 900 + b"]" * 900])


def as_bytes(value: Any, *, ascii_only: bool = False) -> bytes:
    """JSON of a value, with what JSON itself lacks: NaN, and halves of surrogate pairs as UTF-8."""
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _places(each, (*at, key))
    elif isinstance(value, list):
        for number, each in enumerate(value[:20]):
            yield from _places(each, (*at, number))


@st.composite
def changed_values(draw: st.DrawFn, valid: Any) -> Any:
    """A valid value in which one to three places are replaced, removed, added or doubled."""
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return draw(json_values)
        *path, last = draw(st.sampled_from(places))
        inside = value
        for key in path:
            inside = inside[key]
        how = draw(st.sampled_from(("replace", "replace", "replace", "remove", "add", "double")))
        if how == "replace":
            inside[last] = draw(json_values)
        elif how == "remove":
            del inside[last]
        elif isinstance(inside, dict):
            inside[draw(texts)] = draw(json_values) if how == "add" else inside[last]
        else:
            inside.append(draw(json_values) if how == "add" else inside[last])
    return value


@st.composite
def changed_json(draw: st.DrawFn, valid: Any) -> bytes:
    """The bytes of a JSON text close to a valid one, or of one that is none at all."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(_DEEP)
    if kind == 1:
        return as_bytes(draw(json_values))
    if kind == 2:
        return draw(changed_bytes(as_bytes(valid)))
    data = as_bytes(draw(changed_values(valid)), ascii_only=draw(st.booleans()))
    if kind == 3 and data.startswith(b"{"):  # The first key again.
        name = data[1:].partition(b":")[0]
        data = b"{" + name + b": " + as_bytes(draw(scalars)) + b", " + data[1:]
    return data


@st.composite
def changed_bytes(draw: st.DrawFn, valid: bytes) -> bytes:
    """Bytes close to valid ones: cut, with bytes replaced, inserted or repeated; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(("flip", "flip", "cut", "insert", "repeat", "number")))
        if how == "flip" and data:
            data[at] = draw(st.integers(0, 255))
        elif how == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif how == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif how == "repeat":
            data[at:at] = data[at : at + 64] * draw(st.integers(1, 20))
        else:  # Lengths and offsets are numbers of eight bytes.
            number = draw(st.sampled_from((0, 1, 0xFF, 1 << 24, 1 << 31, 1 << 40, (1 << 64) - 1)))
            data[at : at + 8] = number.to_bytes(8, "little")
    return bytes(data)


@st.composite
def changed_texts(draw: st.DrawFn, valid: Any) -> Any:
    """A valid value of which one to three texts are others: what a typed interface leaves open."""
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        places = []
        for *path, last in _places(value):
            inside = value
            for key in path:
                inside = inside[key]
            if isinstance(inside[last], str):
                places.append((inside, last))
        inside, last = draw(st.sampled_from(places))
        inside[last] = draw(texts)
    return value
