"""Programs that reach for other processes and files of the user who evaluates."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from starfreight.jobs.evaluate.sandbox import box_directory
from starfreight.jobs.evaluate.sandbox.interface import BoxEndedError, Limits, Sandbox
from starfreight.jobs.evaluate.sandbox.unconfined import Unconfined

Run = Callable[[str], str]


def run_in(sandbox: Sandbox, body: str) -> str:
    """Runs statements; returns what they return, or how they ended."""
    source = f"def attack():\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"
    source += "def main():\n    send_message(repr(attack()).encode())\n"
    boxes = sandbox.boxes(source)
    try:
        with boxes.start() as box:
            return box.receive(time.monotonic() + 20).decode()
    except BoxEndedError as end:
        return end.reason
    finally:
        boxes.close()


@pytest.fixture
def run(sandbox: Sandbox) -> Run:
    return lambda body: run_in(sandbox, body)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that other users can reach, too; those of pytest are closed to them."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.fixture
def box_path(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parent of the directories of boxes."""
    monkeypatch.setattr(box_directory, "_place", lambda: str(open_path))
    return open_path


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user."""
    with subprocess.Popen(["/usr/bin/env", "sleep", "60"]) as process:
        yield process
        process.kill()


def test_other_processes_get_no_signals(run: Run, bystander: subprocess.Popen[bytes]) -> None:
    found = run(
        f"""
        import ctypes, fcntl, os, signal
        libc = ctypes.CDLL(None)
        done = []
        for process in ({bystander.pid}, -os.getpgid(0), -1):
            try: os.kill(process, signal.SIGTERM)
            except OSError: pass
        try: signal.pidfd_send_signal(os.pidfd_open({bystander.pid}), signal.SIGKILL); done.append('pidfd')
        except OSError: pass
        # The kernel signals the owner of a pipe that becomes ready.
        read, write = os.pipe()
        try:
            fcntl.fcntl(read, 10, signal.SIGKILL)
            fcntl.fcntl(read, fcntl.F_SETOWN, {bystander.pid})
            fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
            os.write(write, b'x')
        except OSError: pass
        return done
        """
    )
    # A box that signals itself has ended.
    assert found in ("[]", "exited")
    time.sleep(0.1)
    assert bystander.poll() is None


def test_files_of_the_user_stay_as_they_are(run: Run, open_path: Path) -> None:
    file = open_path / "precious"
    file.write_text("precious")
    file.chmod(0o600)
    before = file.stat()
    found = run(
        f"""
        import os
        file = {str(file)!r}
        done = []
        for name, change in {{
            'open': lambda: os.open(file, os.O_RDONLY),
            'append': lambda: os.open(file, os.O_WRONLY | os.O_APPEND),
            'chmod': lambda: os.chmod(file, 0o777),
            'path': lambda: os.chmod(f'/proc/self/fd/{{os.open(file, os.O_PATH)}}', 0o777),
            'chown': lambda: os.chown(file, os.getuid(), os.getgid()),
            'utime': lambda: os.utime(file, (1, 1)),
            'setxattr': lambda: os.setxattr(file, 'user.x', b'x'),
            'truncate': lambda: os.truncate(file, 0),
            'unlink': lambda: os.unlink(file),
            'rename': lambda: os.rename(file, 'mine'),
            'link': lambda: os.link(file, 'mine'),
            'symlink and read': lambda: (os.symlink(file, 'mine'), open('mine').read()),
            'beside it': lambda: open(file + '2', 'w'),
            'directory': lambda: os.listdir(os.path.dirname(file)),
        }}.items():
            try: change(); done.append(name)
            except OSError: pass
        return done
        """
    )
    assert found == "[]"
    after = file.stat()
    assert (after.st_mode, after.st_mtime, after.st_nlink) == (before.st_mode, before.st_mtime, 1)
    assert file.read_text() == "precious"
    assert [path.name for path in open_path.iterdir()] == ["precious"]


def test_sockets_of_the_machine_get_nothing(run: Run, open_path: Path) -> None:
    place = str(open_path / "log")
    name = f"\0starfreight-{os.getpid()}"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract,
    ):
        listener.bind(place)
        abstract.bind(name)
        Path(place).chmod(0o777)
        for each in (listener, abstract):
            each.setblocking(False)
        found = run(
            f"""
            import os, socket
            done = []
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                for address in ({place!r}, {name!r}):
                    for send in ('sendto', 'sendmsg', 'connect'):
                        try:
                            ends = socket.socketpair(socket.AF_UNIX, kind)
                            if send == 'sendto': ends[0].sendto(b'x', address)
                            elif send == 'sendmsg': ends[0].sendmsg([b'x'], [], 0, address)
                            else: ends[0].connect(address)
                            done.append((kind, address, send))
                        except OSError: pass
            return done
            """
        )
        assert found.startswith("["), found  # Pairs of packets do not look at the address.
        for each in (listener, abstract):
            with pytest.raises(BlockingIOError):
                each.recv(10)


def test_a_pair_of_sockets_works(run: Run) -> None:
    found = run(
        """
        import asyncio
        async def double(n):
            await asyncio.sleep(0)
            return 2 * n
        return asyncio.run(double(4))
        """
    )
    assert found == "8"


def test_shared_memory_of_the_machine_is_not_seen(run: Run) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0, 4096, 0o1666)
    if segment < 0:
        pytest.skip("no shared memory here")
    try:
        number = {"x86_64": 30, "aarch64": 196}[os.uname().machine]
        assert run(f"import ctypes; return ctypes.CDLL(None).syscall({number}, {segment}, 0, 0)") == "-1"
    finally:
        libc.shmctl(segment, 0, None)


LEFT_BEHIND = {
    "a deep tree": """
        import os
        for _ in range(1500):
            os.mkdir('d'); os.chdir('d')
            open('f', 'w').close()
        """,
    "a closed directory": """
        import os
        os.makedirs('a/b'); open('a/b/f', 'w').close()
        try: os.chmod('a/b', 0); os.chmod('a', 0)
        except OSError: os.mkdir('c', 0)
        """,
    "many files": "for number in range(3000): open(str(number), 'w').close()",
}


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_nothing_is_left_behind(sandbox: Sandbox, name: str, box_path: Path) -> None:
    body = textwrap.indent(textwrap.dedent(LEFT_BEHIND[name]).strip(), "        ")
    source = f"""
def main():
    import os
    start = os.listdir('.')
    if receive_message() == b'attack':
{body}
    send_message(repr(start).encode())
"""
    boxes = sandbox.boxes(source)
    try:
        for message in (b"attack", b""):
            with boxes.start() as box:
                box.send(message, time.monotonic() + 20)
                try:
                    assert box.receive(time.monotonic() + 20) == b"[]"
                except BoxEndedError as end:
                    assert message
                    assert end.reason == "disk"
    finally:
        boxes.close()
    assert not list(box_path.iterdir())


def test_all_processes_end_with_a_killed_parent(sandbox: Sandbox, open_path: Path) -> None:
    program = f"""
import sys, time
from starfreight.jobs.evaluate.sandbox.interface import Limits
from {type(sandbox).__module__} import {type(sandbox).__name__} as Kind
boxes = Kind(Limits()).boxes('''
def main():
    import os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            send_message(b"away")
            os.execv("/usr/bin/env", ["env", "sleep", "{os.getpid()}.125"])
        os._exit(0)
    time.sleep(60)
''')
box = boxes.start()
print(box.receive(time.monotonic() + 20), flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-P", "-c", program]
    # Nobody removes the box's directory.
    elsewhere = os.environ | {"TMPDIR": str(open_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=elsewhere) as parent:
        assert parent.stdout is not None
        if parent.stdout.readline() != "b'away'\n":
            assert os.geteuid() == 0  # Without CAP_SETUID there are no new processes.
            return
        assert wait_until(lambda: marked(f"{os.getpid()}.125"))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert wait_until(lambda: not marked(f"{os.getpid()}.125"))


def test_plain_processes_end_and_leave_nothing_either(box_path: Path) -> None:
    found = run_in(
        Unconfined(Limits()),
        f"""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0: os.execv('/usr/bin/env', ['env', 'sleep', '{os.getpid()}.25'])
            os._exit(0)
        os.wait()
        open('left', 'w').close()
        return os.getcwd() == os.environ['TMPDIR'] == os.environ['HOME']
        """,
    )
    assert found == "True"
    assert not marked(f"{os.getpid()}.25")
    assert not list(box_path.iterdir())


def wait_until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def marked(mark: str) -> bool:
    """True while a process has a mark among its arguments."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in file.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def test_plain_processes_are_counted() -> None:
    body = """
        import threading, time
        for _ in range(9): threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
        time.sleep(20)
        """
    assert run_in(Unconfined(Limits(processes=4, memory=4 << 30)), body) == "processes"
