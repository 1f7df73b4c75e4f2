"""Which docker command builds, and what is made of what BuildKit writes."""

from __future__ import annotations

import io
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from starfreight.console import Console
from starfreight.docker_engine import connect
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.images import build, buildkit
from starfreight.images.build_errors import explain
from starfreight.images.context import _wheels
from starfreight.images.progress import BuildProgress
from starfreight.images.wheel import Project

OLD = 'if [ "$1" = buildx ]; then exit 1; fi; echo "Docker version 20.10.24+dfsg1, build 297e128"'
NEW = 'if [ "$1" = buildx ]; then exit 1; fi; echo "Docker version 28.2.2, build e6534b4"'
WITH_BUILDX = (
    '[ "$1" = buildx ] && echo "github.com/docker/buildx v0.17.1" || echo "Docker version 28.2.2, build e"'
)
PODMAN = 'if [ "$1" = buildx ]; then echo "buildah 1.33.7"; exit; fi; echo "podman version 5.0.0"'

LOG = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#5 [torch 1/1] RUN --mount=type=bind,from=pip,source=/opt/pip,target=/mnt set -eu
#5 CACHED
#6 [libraries 1/1] RUN --mount=type=bind,from=pip,source=/opt/pip,target=/mnt set -eu
#6 0.971 Processing /srv/click-8.5.1-py3-none-any.whl
#6 DONE 15.9s
#7 [trainer 1/2] COPY --from=project /out/starter/ /
#7 DONE 0.0s
#8 exporting to image
#8 DONE 3.7s
"""


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """Puts programs called docker on the PATH, and no other."""

    def put(*scripts: str) -> list[str]:
        programs = []
        for number, script in enumerate(scripts):
            program = tmp_path / str(number) / "docker"
            program.parent.mkdir()
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
            programs.append(str(program))
        monkeypatch.setenv("PATH", os.pathsep.join(str(Path(program).parent) for program in programs))
        monkeypatch.setattr(buildkit, "_ALSO", ())
        buildkit.build_command.cache_clear()
        return programs

    yield put
    buildkit.build_command.cache_clear()


def test_a_client_with_buildx_comes_before_one_that_has_buildkit_built_in(
    clients: Callable[..., list[str]],
) -> None:
    _, _, with_buildx = clients(NEW, OLD, WITH_BUILDX)
    assert buildkit.build_command()[:3] == (with_buildx, "buildx", "build")


def test_a_new_client_without_buildx_is_passed_over(clients: Callable[..., list[str]]) -> None:
    _, _, old = clients(PODMAN, NEW, OLD)
    assert buildkit.build_command() == (old, "build")


@pytest.mark.parametrize("scripts", [(NEW,), (PODMAN,), ()])
def test_without_a_client_that_can_it_is_said_what_to_install(
    clients: Callable[..., list[str]], scripts: tuple[str, ...]
) -> None:
    clients(*scripts)
    with pytest.raises(ServiceError, match="BuildKit") as refused:
        buildkit.build_command()
    assert "buildx" in str(refused.value.fix)


def test_steps_that_are_done_or_cached_move_the_bar_and_the_log_has_all() -> None:
    moves: list[tuple[float, str | None]] = []
    log = io.BytesIO()
    follow = BuildProgress(lambda amount, what=None: moves.append((amount, what)), log)
    for line in LOG.splitlines():
        follow(line)
    assert sum(amount for amount, _ in moves) == 3
    assert (0, "libraries: Processing /srv/click-8.5.1-py3-none-any.whl") in moves
    assert log.getvalue().decode() == LOG


@pytest.mark.parametrize(
    ("line", "kind", "part"),
    [
        ("#9 1.2 OSError: [Errno 28] No space left on device: '/opt'", ServiceError, "No space is left"),
        ("failed to register layer: write /x: no space left on device", ServiceError, "No space is left"),
        ("#9 0.4 standard_init_linux.go:228: exec format error", InputError, "for another platform"),
        ("failed to solve: no match for platform in manifest: not found", InputError, "for another platform"),
        ("#9 1.0 SSLError: [SSL: CERTIFICATE_VERIFY_FAILED]", ServiceError, "certificate"),
        ("#9 9.0 E: Temporary failure resolving 'deb.debian.org'", ServiceError, "cannot reach the network"),
        ("failed to solve: pull access denied, repository is not there", InputError, "image does not exist"),
        ("#9 1.0 ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", GateError, "not match the lock file"),
        ("#9 1.0 Segmentation fault", ServiceError, "The build failed"),
    ],
)  # fmt: skip
def test_why_a_build_failed_is_said_in_plain_words(line: str, kind: type[Exception], part: str) -> None:
    error = explain(["#9 0.1 something", line, "#9 ERROR: executor failed running"], Path("build.log"))
    assert type(error) is kind and part in error.what and error.where == "build.log" and error.fix


RUN = [
    *(f"#9 {second}.0 Collecting package-{second}" for second in range(60)),
    "#9 61.0 ERROR: Could not find a version that satisfies numpy==9 (from versions: "
    + "1.0, " * 400
    + "2.0)",
    *(f"#9 6{second}.5 cleaning up {second}" for second in range(8)),
    "#8 3.0 the output of a step that was cancelled: fatal error",
    "#8 CANCELED",
    '#9 ERROR: process "/bin/sh -c set -eu" did not complete successfully: exit code: 1',
    "------",
    " > [libraries 1/1] RUN --mount=type=bind:",
    "------",
    "Dockerfile:20",
    "--------------------",
    *(
        f"  {number} | >>>     install part {number}; echo 'failed: no such host' \\"
        for number in range(20, 80)
    ),
    "--------------------",
    'ERROR: failed to solve: process "/bin/sh -c set -eu" did not complete successfully: exit code: 1',
]


def test_the_cause_of_a_failure_is_shown_whatever_comes_after_it() -> None:
    progress = BuildProgress(lambda amount, what=None: None, io.BytesIO())
    for line in RUN:
        progress(line)
    error = explain(progress.last_lines, Path("build.log"))
    assert type(error) is ServiceError and error.what.startswith("The build failed: ")
    assert "Could not find a version that satisfies numpy==9" in error.what and "2.0)" in error.what
    assert "cleaning up 7" in error.what
    # Neither the output of another step nor the Dockerfile itself is the cause.
    assert "fatal error" not in error.what and "no such host" not in error.what
    assert len(error.what) < 3000


def test_a_line_without_an_end_is_kept_in_parts(clients: Callable[..., list[str]]) -> None:
    clients(
        '[ "$2" = version ] && echo buildx && exit\n'
        '/usr/bin/head -c 3000000 /dev/zero | /usr/bin/tr "\\0" x; echo; echo end'
    )
    heard: list[str] = []
    assert buildkit.run_build([], Path("folder"), heard.append) == 0
    assert heard[-1] == "end" and len(heard[0]) == 1 << 20


def test_the_wheels_that_a_build_leaves_are_mentioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = tmp_path / "the context"
    for name, size in (
        ("torch/torch-2.whl", 3_000_000),
        ("libraries/click-8.whl", 500_000),
        ("project/own.whl", 9),
    ):
        (context / name).parent.mkdir(parents=True)
        (context / name).write_bytes(bytes(size))
    build._mention_wheels(context, Console())
    err = capsys.readouterr().err
    assert err.startswith(f"2 wheels, 3.5 MB, stay in {context} ") and f"rm -r '{context}'" in err
    build._mention_wheels(tmp_path / "without wheels", Console())
    assert capsys.readouterr().err == ""


def test_a_socket_that_may_not_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        Path(folder).chmod(0o755)
        path = Path(folder, "docker.sock")
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o600)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/none.sock")
        with pytest.raises(ServiceError, match="No Docker Engine is running"):
            connect()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        if os.geteuid() == 0:
            os.seteuid(65534)
        else:
            path.chmod(0)
        try:
            with pytest.raises(ServiceError, match="has no access to the Docker Engine") as refused:
                connect()
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
    assert "docker group" in str(refused.value.fix)


def test_control_sequences_of_a_build_do_not_reach_the_terminal() -> None:
    shown: list[str] = []
    log = io.BytesIO()
    progress = BuildProgress(lambda amount, what="": shown.append(what), log)
    for line in ("#5 [torch 1/1] RUN it", "#5 1.0 \x1b]0;title\x07 Processing"):
        progress(line)
    assert "Processing" in shown[-1] and "\x1b" not in shown[-1] + progress.last_lines[-1]
    assert b"\x1b" in log.getvalue()


def test_a_file_in_the_wheelhouse_that_has_no_wheels_name_is_no_wheel(tmp_path: Path) -> None:
    for name in ("strange.whl", "click-8.1.0-py3-none-any.whl"):
        (tmp_path / name).touch()
    assert list(_wheels(tmp_path)) == [("click", "8.1.0")]


@pytest.mark.parametrize("kind", ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("spelt", [str.upper, str.lower])
def test_a_proxy_is_passed_on_however_it_is_spelt(
    clients: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, kind: str, spelt: Callable[[str], str]
) -> None:
    for name in buildkit._PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setenv(spelt(kind), "http://proxy.local:3128")
    clients('[ "$2" = version ] && echo "github.com/docker/buildx v0.17.1" || echo "$@"')
    heard: list[str] = []
    assert buildkit.run_build([], Path("folder"), heard.append) == 0
    # The value stays in the environment: a command line is for every user of the machine to see.
    assert heard[0].endswith(f" --progress=plain --build-arg {spelt(kind)} folder")


def test_an_image_that_is_removed_at_once_is_to_be_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(reference: str) -> None:
        raise docker.errors.ImageNotFound(f"No such image: {reference}")

    remembered: list[Any] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, stand_in in {
        "connect": lambda: SimpleNamespace(images=SimpleNamespace(get=get)),
        "build_command": lambda: ("docker",),
        "build_wheel": lambda folder: Project(tmp_path / "starfreight-1.whl", None, 0),
        "write_context": lambda *arguments: None,
        "_run": lambda *arguments: "sha256:" + "0" * 64,
        "remember_image": remembered.append,
    }.items():
        monkeypatch.setattr(build, name, stand_in)
    with pytest.raises(ServiceError, match="the engine no longer has it") as gone:
        build.build_image(build.BuildRequest("packager"), Console(quiet=True))
    assert "again" in str(gone.value.fix) and not remembered
