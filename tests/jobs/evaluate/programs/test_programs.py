"""Programs in other languages pass when they are right, and in no other way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from starfreight.jobs.evaluate.programs import (
    LANGUAGES,
    Language,
    ProgramTests,
    find_toolchain,
    language_named,
)
from starfreight.jobs.evaluate.sandbox import Bubblewrap

_RUN: dict[str, ProgramTests] = {}
_IN_CI = ("javascript", "shell", "perl", "c++")
"""Languages that every machine with CI has."""


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    while _RUN:
        _RUN.popitem()[1].close()


def program_tests(name: str, sandbox: Bubblewrap, seconds: float = 4.0) -> ProgramTests:
    """The tests of a language, with its tools; a test that needs others is skipped."""
    language = language_named(name)
    assert language is not None
    toolchain = find_toolchain(language)
    if isinstance(toolchain, str):
        if os.environ.get("CI") == "true" and language.name in _IN_CI:
            pytest.fail(f"{toolchain} is missing")
        pytest.skip(f"{toolchain} is not installed")
    key = f"{name} {seconds}"
    if key not in _RUN:
        _RUN[key] = ProgramTests(sandbox, language, toolchain, seconds=seconds)
    return _RUN[key]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_a_right_program_passes_and_a_wrong_one_fails(sandbox: Bubblewrap, language: Language) -> None:
    tests = program_tests(language.name, sandbox, 20)
    assert tests.works()
    if not language.compile:
        wrong = tests.run(language.trial[0].replace("1", "3"), language.trial[1])
        assert (wrong.passed, wrong.reason) == (False, "failed")
        broken = tests.run(language.trial[0] + "\n)}](", language.trial[1])
        assert (broken.reason, bool(broken.detail)) == ("failed", True)


def test_a_program_that_does_not_compile_fails(sandbox: Bubblewrap) -> None:
    verdict = program_tests("cpp", sandbox).run("long one(long x) { return y;", TESTS["cpp"])
    assert (verdict.passed, verdict.reason) == (False, "compile")
    assert "y" in verdict.detail


TESTS = {
    "js": language_named("js").trial[1],  # type: ignore[union-attr]
    "sh": language_named("sh").trial[1],  # type: ignore[union-attr]
    "pl": language_named("pl").trial[1],  # type: ignore[union-attr]
    "tcl": language_named("tcl").trial[1],  # type: ignore[union-attr]
    "cpp": language_named("cpp").trial[1],  # type: ignore[union-attr]
    "rs": language_named("rs").trial[1],  # type: ignore[union-attr]
    "java": language_named("java").trial[1],  # type: ignore[union-attr]
}
_CPP = "#include<assert.h>\n#include<iostream>\n#include<string>\n#include<unistd.h>\n"
_JAVA = (
    "import java.util.*;\nimport org.javatuples.*;\nclass Problem {\n%s\n"
    "    public static Pair<Long, Long> one(long x) {\n%s return Pair.with(x, 5l);"
)
FORGERIES = {
    "js: ends with success": ("js", "function one(x){ process.exit(0); }", "exited"),
    "js: ends before the tests": ("js", "process.exit(0); function one(x){}", "exited"),
    "js: prints that it passed": (
        "js", "function one(x){ console.log('passed\\nok!\\nOK'); process.exit(0); }", "exited",
    ),
    "js: prints its input": (
        "js", "process.stdout.write('\\n' + require('fs').readFileSync(0, 'utf8').split('\\n')[0] + '\\n');"
        "process.exit(0); function one(x){}", "forged",
    ),
    "js: switches assertions off": (
        "js", "require('assert').deepEqual = () => {}; function one(x){ return 3; }", "forged",
    ),
    "js: catches the failure": (
        "js", "process.on('uncaughtException', () => process.exit(0)); function one(x){}", "exited",
    ),
    "sh: ends with success": ("sh", "exit 0\none() {\n    true", "exited"),
    "sh: switches the end at errors off": ("sh", "set() { :; }\none() {\n    echo 5", "forged"),
    "sh: prints its input": (
        "sh", 'read -r x <&3; printf "\\n%s\\n" "$x"; exit 0\none() {\n    true', "forged",
    ),
    "sh: ends in a trap": ("sh", "trap 'exit 0' EXIT\none() {\n    echo 5", "exited"),
    "pl: ends with success": ("pl", "exit 0;\nsub one { }", "exited"),
    "pl: replaces the comparison": (
        "pl", "BEGIN { $INC{'Test/Deep.pm'} = 1; }\nsub eq_deeply { 1 }\nsub one { 5 }", "forged",
    ),
    "pl: prints its source": ("pl", "open(F, $0); print <F>; exit 0;\nsub one { }", "exited"),
    "tcl: ends with success": ("tcl", "exit 0\nproc one {x} {\n    return 5\n}", "exited"),
    "tcl: catches errors": (
        "tcl", "rename error old\nproc error {args} {}\nproc one {x} {\n    return 5\n}", "forged",
    ),
    "cpp: ends with success": ("cpp", _CPP + "long one(long x) { _exit(0);", "exited"),
    "cpp: switches assertions off": (
        "cpp", _CPP + "#undef assert\n#define assert(x)\nlong one(long x) { return 5;", "forged",
    ),
    "rs: replaces the assertion": (
        "rs", "macro_rules! assert_eq { ($($x:tt)*) => { } }\nfn one(x: isize) -> isize {\n    5", "forged",
    ),
    "java: ends with success": ("java", _JAVA % ("", "System.exit(0);"), "exited"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_no_program_forges_its_verdict(sandbox: Bubblewrap, name: str) -> None:
    code, program, reason = FORGERIES[name]
    verdict = program_tests(code, sandbox).run(program, TESTS[code])
    assert (verdict.passed, verdict.reason) == (False, reason), verdict


EXHAUSTIONS = {
    "js: endless loop": ("js", "function one(x){ for (;;) {} }"),
    "js: endless output": ("js", "function one(x){ for (;;) require('fs').writeSync(1, 'x'.repeat(9999)); }"),
    "js: memory": ("js", "function one(x){ const a = []; for (;;) a.push(Buffer.alloc(1 << 26, 1)); }"),
    "js: kills its parent": (
        "js", "function one(x){ process.kill(process.ppid, 'SIGKILL'); for (;;) {} }",
    ),
    "js: network": (
        "js", "function one(x){ require('child_process').execFileSync('bash', "
        "['-c', 'exec 3<>/dev/tcp/127.0.0.1/22']); return x.concat([1]); }",
    ),
    "sh: fork bomb": ("sh", "one() {\n    bomb() { bomb | bomb & }; bomb; sleep 60"),
    "sh: endless errors": ("sh", "one() {\n    yes >&2"),
    "sh: stops its parent": ("sh", "kill -STOP $PPID\nsleep 60\none() {\n    echo 5"),
    "sh: kills everything": ("sh", "kill -9 -1; sleep 60\none() {\n    echo 5"),
    "sh: a daemon that keeps the pipes": ("sh", "setsid sleep 314159 &\none() {\n    echo 5"),
    "sh: deletes everything": ("sh", "rm -rf / 2>/dev/null\none() {\n    echo 5"),
    "sh: fills the disk": ("sh", "one() {\n    cat /dev/zero > full; cat full"),
    "cpp: forks": ("cpp", _CPP + "long one(long x) { for (;;) fork();"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXHAUSTIONS)
def test_no_program_uses_up_the_machine(sandbox: Bubblewrap, name: str) -> None:
    code, program = EXHAUSTIONS[name]
    tests = program_tests(code, sandbox, 1.5)
    begin = time.monotonic()
    assert not tests.run(program, TESTS[code]).passed
    assert time.monotonic() - begin < 20
    deadline = time.monotonic() + 5  # The kernel ends the processes of a namespace one by one.
    while any(b"314159" in _read(each) for each in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline
    good = language_named("sh").trial  # type: ignore[union-attr]
    assert program_tests("sh", sandbox, 20).run(*good).passed


OWN_TESTS = {
    "js": (
        "function one(x){ return x + 1; }",
        "const ok = one(1) === 2; console.assert(ok); if (!ok) process.exit(1);",
    ),
    "sh": ('one() { cat; echo "$(($1 + 1))"; }', "[[ $(one 1) = 2 ]] || exit 1"),
    "pl": ("sub one { return $_[0] + 1; }", "die if one(1) != 2;"),
    "tcl": ("proc one {x} { expr {$x + 1} }", "if {[one 1] != 2} {exit 3}"),
    "cpp": ("long one(long x) { return x + 1; }", "int main() { if (one(1) != 2) return 3; }"),
}


@pytest.mark.parametrize("code", OWN_TESTS)
def test_tests_may_compare_in_their_own_way(sandbox: Bubblewrap, code: str) -> None:
    program, checks = OWN_TESTS[code]
    tests = program_tests(code, sandbox, 20)
    assert tests.run(program, checks).reason == "passed"
    assert tests.run(program.replace("+", "-"), checks).reason == "failed"


def test_no_program_reaches_the_pipes_of_its_parent(sandbox: Bubblewrap) -> None:
    body = """one() {
        for process in /proc/[0-9]*; do
            for file in $process/fd/* $process/mem $process/environ; do
                [[ $process != /proc/$$ && $process != /proc/$BASHPID && $process != /proc/self ]] || continue
                (echo x > $file) 2>/dev/null && echo "$file is open" >&2
                (head -c 1 $file) >/dev/null 2>&1 && [[ $file == */environ ]] && echo "$file is read" >&2
            done
        done
        echo "$1 5"
"""
    verdict = program_tests("sh", sandbox, 20).run(body, TESTS["sh"])
    assert (verdict.reason, verdict.detail) == ("failed", "")


def test_a_program_sees_nothing_of_the_tests_of_compiled_languages(sandbox: Bubblewrap) -> None:
    program = _CPP + 'long one(long x) { return system("test $(ls | wc -l) = 1") == 0 ? x + 1 : 0;'
    assert program_tests("cpp", sandbox).run(program, TESTS["cpp"]).passed


def test_nothing_of_one_program_is_left_for_the_next(sandbox: Bubblewrap) -> None:
    tests = program_tests("sh", sandbox)
    body = "one() {\n    touch left ../left $HOME/left; echo '2 1'"
    assert tests.run(body, TESTS["sh"]).passed
    body = 'one() {\n    [[ $(ls . .. | grep -c left) = 0 ]] && echo "2 1"'
    assert tests.run(body, TESTS["sh"]).passed


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
