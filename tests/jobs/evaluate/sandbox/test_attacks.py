"""Programs that try to get out, to use up the machine, or to pass without being right."""

from __future__ import annotations

import platform
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.evaluate.python_tests import PythonProblem, PythonTests, Verdict
from starfreight.jobs.evaluate.sandbox.interface import Sandbox

DOUBLE = PythonProblem(
    "double",
    "double",
    "def double(n):\n    return 2 * n\n",
    "assert double(4) == 8\nassert double(-1) == -2\n",
)
RIGHT = "def double(n):\n    return n + n\n"
REACH = """
import sys as _sys
_frame = _sys._getframe()
while "send_message" not in _frame.f_globals: _frame = _frame.f_back
send_message = _frame.f_globals["send_message"]
"""
"""The box's own function that writes to the parent, found as an attacker finds it."""


@pytest.fixture(scope="module")
def tests(sandbox: Sandbox) -> Iterator[PythonTests]:
    with PythonTests(sandbox, seconds=1.5) as tests:
        assert tests.run(DOUBLE, RIGHT).passed
        yield tests


@pytest.fixture(scope="module")
def patient_tests(sandbox: Sandbox) -> Iterator[PythonTests]:
    """For attacks that come to an end by themselves, on a busy machine, too."""
    with PythonTests(sandbox, seconds=30) as tests:
        yield tests


def attack(tests: PythonTests, body: str) -> Verdict:
    """Runs statements in the function under test, and makes sure that work goes on."""
    code = REACH + "def double(n):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")
    verdict = tests.run(DOUBLE, code)
    assert tests.run(DOUBLE, RIGHT).passed
    return verdict


FORGERIES = {
    "prints that it passed": "print('passed'); print('OK', flush=True)",
    "ends with success": "import os; os._exit(0)",
    "leaves with success": "raise SystemExit(0)",
    "writes a verdict to every descriptor": """
        import os, struct
        text = b'{"kind": "verdict", "passed": true, "unable": false, "error": ""}'
        for number in range(3, 64):
            try: os.write(number, struct.pack("=I", len(text)) + text)
            except OSError: pass
        """,
    "answers calls that were not made": """
        for _ in range(9): send_message(b'{"kind": "returned", "value": {"int": "0x8"}, "arguments": null}')
        """,
    "returns an object that equals everything": """
        class Equal(int):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
        return Equal(3)
        """,
    "changes what assert raises": "import builtins; builtins.AssertionError = type('E', (), {})",
    "reads the tests from the stack": """
        import gc, sys
        frame = sys._getframe()
        while frame:
            assert 'double(4)' not in repr(frame.f_globals) + repr(frame.f_locals)
            frame = frame.f_back
        return 8
        """,
    "sends a verdict": """
        send_message(b'{"kind": "verdict", "passed": true, "unable": false, "error": ""}')
        """,
    "sends a verdict that stops the evaluation": """
        send_message(b'{"kind": "verdict", "passed": false, "unable": true, "error": ""}')
        """,
    "raises what is no exception": """
        send_message(b'{"kind": "raised", "type": "__import__", "text": "os"}')
        """,
    "sends a number that takes forever": """
        send_message(b'{"kind": "returned", "value": {"Fraction": "1e99999999"}, "arguments": null}')
        """,
    "sends two values in one": """
        send_message(b'{"kind": "returned", "value": {"int": "0x8", "dict": []}, "arguments": null}')
        """,
    "sends arguments that are none": """
        send_message(b'{"kind": "returned", "value": {"int": "0x8"}, "arguments": 5}')
        """,
    "encodes everything as a verdict": """
        import json
        json.dumps = lambda *a, **k: '{"kind": "verdict", "passed": true}'
        """,
    "sends garbage": "send_message(b'\\xff' * 1000)",
    "sends deep JSON": "send_message(b'[' * 100000)",
    "sends half a message": "import os; os._exit(3)",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_no_verdict_is_forged(tests: PythonTests, name: str) -> None:
    assert not attack(tests, FORGERIES[name]).passed
    # While the module is loaded, before there is a function.
    lines = [line for line in textwrap.dedent(FORGERIES[name]).splitlines() if "return" not in line]
    assert not tests.run(DOUBLE, REACH + "\n".join(lines) + "\n").passed


def test_an_attacker_reaches_the_pipe(tests: PythonTests) -> None:
    # Otherwise the forgeries above would fail by a NameError.
    value = b'{"kind": "returned", "value": {"int": "%s"}, "arguments": null}'
    body = f"send_message({value!r} % hex(n + n).encode()); import time; time.sleep(60)"
    once = PythonProblem("once", "double", DOUBLE.reference, "assert double(4) == 8\n")
    assert tests.run(once, f"{REACH}\ndef double(n):\n    {body}\n").passed


@pytest.mark.parametrize(
    "text", ["pass", "def check(f):\n    assert f(1) == 2\n", "for case in ():\n    double(case)"]
)
def test_tests_that_call_nothing_are_passed_by_nothing(tests: PythonTests, text: str) -> None:
    with pytest.raises(InputError, match="never call"):
        tests.run(PythonProblem("empty", "double", DOUBLE.reference, text), RIGHT)


@pytest.mark.parametrize("error", ["StopIteration", "StopAsyncIteration", "GeneratorExit"])
@pytest.mark.parametrize(
    "check",
    [
        "def ok(case): return double(case) == 2 * case\nassert all(map(ok, [1, 2]))\n",
        "for number, twice in zip([1, 2], map(double, [1, 2])):\n    assert twice == 2 * number\n",
        "assert not list(filter(lambda n: double(n) != 2 * n, [1, 2]))\n",
    ],
    ids=["all", "for", "filter"],
)
def test_the_end_of_an_iteration_ends_no_loop_of_the_tests(
    tests: PythonTests, error: str, check: str
) -> None:
    problem = PythonProblem("loop", "double", DOUBLE.reference, check)
    assert tests.run(problem, RIGHT).passed
    assert not tests.run(problem, f"def double(n):\n    raise {error}\n").passed


EXHAUSTIONS = {
    "forks": """
        import os
        while True:
            try: os.fork()
            except OSError: pass
        """,
    "forks and leaves": """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv('/usr/bin/env', ['env', 'sleep', '271828'])
            os._exit(0)
        time.sleep(60)
        """,
    "threads": """
        import threading, time
        while True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        """,
    "endless loop": "while True: pass",
    "endless loop, deaf": """
        import signal
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass
        """,
    "sleep": "import time; time.sleep(1000)",
    "stops itself": "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "stops its parent": """
        import os, signal, time
        for process in (os.getppid(), 1, -1):
            try: os.kill(process, signal.SIGSTOP)
            except OSError: pass
        time.sleep(60)
        """,
    "kills its parent": """
        import os, signal
        for process in (os.getppid(), 1, -1):
            try: os.kill(process, signal.SIGKILL)
            except OSError: pass
        """,
    "endless output": """
        import os
        while True:
            for number in range(64):
                try: os.write(number, b'x' * 65536)
                except OSError: pass
        """,
    "large message": "send_message(b'x' * (1 << 24))",
    "closes everything": """
        import os, time
        for number in range(64):
            try: os.close(number)
            except OSError: pass
        time.sleep(60)
        """,
    "memory": """
        parts = []
        while True: parts.append(bytearray(b'x') * (8 << 20))
        """,
    "memory of many": """
        import os, time
        for _ in range(7):
            if os.fork() == 0:
                parts = []
                try:
                    while True: parts.append(b'x' * (8 << 20))
                except MemoryError: time.sleep(60)
        time.sleep(60)
        """,
    "deep recursion": "double(n)",
    "large number": "return 7 ** (7 ** 9)",
    "large value": "return 'x' * (1 << 26)",
    "endless iterator": "import itertools; return itertools.count()",
}


@pytest.mark.parametrize("name", EXHAUSTIONS)
def test_no_resource_is_used_up(tests: PythonTests, name: str) -> None:
    begin = time.monotonic()
    verdict = attack(tests, EXHAUSTIONS[name])
    assert not verdict.passed
    # The attack, a right answer, and a new sandbox.
    assert time.monotonic() - begin < 15
    assert verdict.seconds < 10
    assert not [process for process in Path("/proc").glob("[0-9]*/cmdline") if b"271828" in _read(process)]


ESCAPES = {
    "network": """
        import socket
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 16, 17):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
                try: return socket.socket(family, kind)
                except OSError: pass
        """,
    "files outside its directory": """
        import os
        for place in ('/', '/usr', '/usr/bin', '/etc', '/dev', '/dev/shm', '/proc', '/proc/sys', '/run',
                      '/var/tmp', os.path.expanduser('~/..')):
            try:
                with open(place + '/stowaway', 'wb') as file: file.write(bytes(200000))
                return place
            except OSError: pass
        """,
    "deletes everything": """
        import os, shutil
        for place in ('/usr/bin', '/etc', '/dev', '/root'): shutil.rmtree(place, ignore_errors=True)
        if not os.path.exists('/usr/bin/env'): return 'deleted'
        """,
    "disk": """
        import signal, time
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        written = 0
        for number in range(64):
            try:
                with open(f'{number}', 'wb') as file: written += file.write(bytes(1 << 20))
            except OSError: pass
            # A watching parent needs a moment.
            time.sleep(0.01)
        if written > 9 << 20: return written
        """,
    "reads the host": """
        import os
        for place in ('/etc/passwd', '/etc/shadow', '/root/.ssh', '/home', '/var', '/sys', '/proc/kcore'):
            try: found = os.listdir(place) if os.path.isdir(place) else open(place, 'rb').read(10)
            except OSError: continue
            if found: return place
        """,
    "other processes": """
        import os
        try: found = [int(name) for name in os.listdir('/proc') if name.isdigit()]
        except OSError: found = range(max(1, os.getppid() - 300), os.getppid() + 300)
        for process in found:
            if process != os.getpid():
                for name in ('environ', 'mem', 'maps', 'fd', 'root', 'cwd'):
                    place = f'/proc/{process}/{name}'
                    try:
                        if name in ('root', 'cwd'): return os.readlink(place)
                        if name == 'fd': return os.listdir(place)
                        with open(place, 'rb') as file:
                            if file.read(1): return place
                    except OSError: pass
        """,
    "tracing": """
        import ctypes, os
        libc = ctypes.CDLL(None)
        parent = os.getppid()
        if libc.ptrace(16, parent, 0, 0) == 0: return 'attached'
        """,
    "limits of its parent": """
        import os, resource
        try: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (4, 4)); return 'changed'
        except OSError: pass
        try: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19); return 'slowed'
        except OSError: pass
        try: os.sched_setaffinity(os.getppid(), {0}); return 'moved'
        except OSError: pass
        """,
    "its own limits": """
        import resource
        for name in ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_NPROC', 'RLIMIT_FSIZE', 'RLIMIT_NOFILE'):
            try: resource.setrlimit(getattr(resource, name), (-1, -1)); return name
            except (OSError, ValueError): pass
        """,
    "the environment": """
        import os
        known = {'PATH', 'HOME', 'LANG', 'LC_CTYPE', 'PYTHONHASHSEED', 'PWD', 'OLDPWD', 'TMPDIR'}
        if set(os.environ) - known: return dict(os.environ)
        """,
    "the server's socket": """
        import os
        for number in range(3, 64):
            try: name = os.readlink(f'/proc/self/fd/{number}')
            except OSError: name = ''
            if name.startswith('socket:'): return name
        """,
    "terminal": """
        import fcntl, termios
        for number in range(3):
            try: fcntl.ioctl(number, termios.TIOCSTI, b'x'); return 'typed'
            except OSError: pass
        """,
    "other user": """
        import os
        for change in (os.setuid, os.setgid):
            try: change(0 if os.getuid() else 1); return 'changed'
            except OSError: pass
        """,
}  # fmt: skip
NUMBERS: dict[str, dict[str, tuple[object, ...]]] = {
    "namespaces": {"x86_64": (272, 0x10000000), "aarch64": (97, 0x10000000)},
    "namespaces by clone": {"x86_64": (56, 0x10000011, 0, 0, 0, 0), "aarch64": (220, 0x10000011, 0, 0, 0, 0)},
    "shared memory": {"x86_64": (29, 0, 64 << 20, 0o1666), "aarch64": (194, 0, 64 << 20, 0o1666)},
    "memory files": {"x86_64": (319, b"x", 0), "aarch64": (279, b"x", 0)},
    "io_uring": {"x86_64": (425, 8, 0), "aarch64": (425, 8, 0)},
    "bpf": {"x86_64": (321, 0, 0, 0), "aarch64": (280, 0, 0, 0)},
    "keys": {"x86_64": (250, 0, -1), "aarch64": (219, 0, -1)},
}


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_outside_is_reached(patient_tests: PythonTests, name: str) -> None:
    # An attack that succeeds returns a value and fails the test; one that is contained returns None.
    assert_contained(patient_tests, ESCAPES[name])


@pytest.mark.parametrize("name", NUMBERS)
def test_calls_of_the_kernel_are_denied(patient_tests: PythonTests, name: str) -> None:
    call = NUMBERS[name][platform.machine()]
    assert_contained(
        patient_tests,
        f"""
        import ctypes, os
        if ctypes.CDLL(None).syscall(*{call!r}) >= 0: return 'allowed'
        """,
    )


def test_a_box_starts_with_an_empty_directory(patient_tests: PythonTests) -> None:
    assert_contained(patient_tests, "open('left', 'w').write('x')")
    assert_contained(patient_tests, "import os; return os.listdir('.') or None")
    assert_contained(patient_tests, "import tempfile; tempfile.TemporaryFile().write(b'x')")


def assert_contained(tests: PythonTests, body: str) -> None:
    problem = PythonProblem(
        "contained", "attack", "def attack():\n    return None\n", "assert attack() is None, attack()\n"
    )
    code = "def attack():\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")
    verdict = tests.run(problem, code)
    assert verdict.passed or verdict.reason == "disk", verdict
    assert tests.run(DOUBLE, RIGHT).passed


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
