"""The languages of programs: how to compile, run and end them.

Each has an ``ending``, code that runs after the tests. It reads three lines: a secret and two texts, compares
the texts as the tests compare values, and prints the secret. Tests of users may compare in ways of their own:
then a plain comparison is in its place. The forms of tests are those of MultiPL-E
(https://github.com/nuprl/MultiPL-E, ``dataset_builder/humaneval_to_*.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.jobs.evaluate.programs.support_files import JAVA_PAIR, PERL_DEEP
from starfreight.jobs.evaluate.sandbox.interface import Limits

_SMALL = Limits(memory=512 << 20, processes=16, disk=64 << 20, messages=1 << 20)
_COMPILED = Limits(memory=1536 << 20, cpu=60, processes=32, disk=192 << 20, messages=64 << 20)
_RESERVING = Limits(memory=1536 << 20, cpu=30, processes=64, disk=64 << 20, messages=16 << 20, reserves=True)


@dataclass(frozen=True)
class Language:
    """A language.

    Attributes:
        name: in records, as Linguist names it, in small letters.
        codes: MultiPL-E's names of it.
        tools: programs that it needs; the first ones that are there of alternatives separated by ``|``.
        source: name of the source file.
        compile: command; ``{0}``, ``{1}`` are the tools. Empty if it needs none.
        run: command; ``./main`` is a program that was compiled.
        ending: code after the tests.
        plain: a word that the tests have if they compare as the ending does, and the ending for others.
        beginning: code before the program.
        inner: number of closing braces at the end of the tests, before which the ending goes.
        trial: program and tests that pass; they show that the toolchain works.
        support: names and contents of files that the tests need.
        limits: of a box.
    """

    name: str
    codes: tuple[str, ...]
    tools: tuple[str, ...]
    source: str
    compile: tuple[str, ...]
    run: tuple[str, ...]
    ending: str
    trial: tuple[str, str]
    plain: tuple[str, str] | None = None
    beginning: str = ""
    inner: int = 0
    support: tuple[tuple[str, str], ...] = ()
    limits: Limits = _SMALL

    def whole(self, program: str, tests: str) -> str:
        """Source of a program with its tests and the ending."""
        ending, place = self.ending, len(tests)
        if self.plain is not None and self.plain[0] not in tests:
            ending = self.plain[1]
        for _ in range(self.inner):
            place = tests.rfind("}", 0, place)
            if place < 0:
                place = len(tests)
                break
        return f"{self.beginning}{program}\n{tests[:place]}\n{ending}\n{tests[place:]}\n"


_SCRIPT_ENDING = """
;(() => {
  const lines = require('fs').readFileSync(0, 'utf8').split('\\n');
  %s
  console.log('\\n' + lines[0]);
})();
"""
_SCRIPT_ENDINGS = (
    _SCRIPT_ENDING % "assert.deepEqual(lines[1], lines[2]);",
    _SCRIPT_ENDING % "if (lines[1] !== lines[2]) process.exit(1);",
)
_CPP_ENDING = (
    "{ std::string x, y, z; std::getline(std::cin, x); std::getline(std::cin, y);\n"
    'std::getline(std::cin, z); %s std::cout << "\\n" << x << std::endl; }'
)
_TCL_ENDING = 'gets stdin secret\ngets stdin one\ngets stdin two\n%s\nputs "\\n$secret"'
_PERL_ENDING = (
    "{ my ($x, $y, $z) = map { my $line = <STDIN>; chomp $line; $line } 1..3;\n"
    'if(%s) { print "ok!" } else { exit 1; }\nprint "\\n$x\\n"; }'
)
_SHELL_ENDING = (
    "read -r secret <&3\nread -r one <&3\nread -r two <&3\n"
    '[[ "$one" = "$two" ]]%s\nprintf "\\n%%s\\n" "$secret"'
)
_SCRIPT_TESTS = """
const assert = require('node:assert');
function test() {
  let candidate = one;
  assert.deepEqual(candidate([2]),[2, 1]);
}

test();
"""

LANGUAGES = (
    Language(
        "javascript",
        ("js",),
        ("node|nodejs",),
        "main.js",
        (),
        ("{0}", "--max-old-space-size=512", "main.js"),
        _SCRIPT_ENDINGS[0],
        ("function one(x){\n  return x.concat([1]);\n}", _SCRIPT_TESTS),
        ("assert.deepEqual(", _SCRIPT_ENDINGS[1]),
        limits=_RESERVING,
    ),
    Language(
        "typescript",
        ("ts",),
        ("node|nodejs", "tsc"),
        "main.ts",
        ("{1}", "--target", "es2020", "--module", "commonjs", "main.ts"),
        ("{0}", "--max-old-space-size=512", "main.js"),
        _SCRIPT_ENDINGS[0],
        (
            "function one(x: number[]): number[] {\n  return x.concat([1]);\n}",
            "declare var require: any;" + _SCRIPT_TESTS,
        ),
        ("assert.deepEqual(", _SCRIPT_ENDINGS[1]),
        limits=_RESERVING,
    ),
    Language(
        "shell",
        ("sh", "bash"),
        ("bash",),
        "main.sh",
        (),
        ("{0}", "main.sh"),
        _SHELL_ENDING % "",
        (
            'one() {\n    echo "$1 1"',
            '}\n\ncandidate() {\n    one "$@"\n}\n\nset -e\nrun_test() {\n'
            '    [[ $(candidate "2") = "2 1" ]]\n}\n\nrun_test',
        ),
        ("set -e", _SHELL_ENDING % " || exit 1"),
        # Commands of the program read nothing of it.
        "exec 3<&0 </dev/null\n",
        limits=_SMALL,
    ),
    Language(
        "perl",
        ("pl",),
        ("perl",),
        "main.pl",
        (),
        ("{0}", "-I.", "main.pl"),
        _PERL_ENDING % "eq_deeply($y,$z)",
        (
            "sub one {\n    my($x) = @_;\n    return [@$x, 1];\n}",
            "use Test::Deep;\n\nsub testhumaneval {\n    my $candidate = \\&one;\n"
            '    if(eq_deeply($candidate->([2]),[2, 1])) {\n        print "ok!" }else{\n'
            "        exit 1;\n        }\n}\n\ntesthumaneval();",
        ),
        ("eq_deeply", _PERL_ENDING % "$y eq $z"),
        support=(("Test/Deep.pm", PERL_DEEP),),
        limits=_SMALL,
    ),
    Language(
        "tcl",
        ("tcl",),
        ("tclsh",),
        "main.tcl",
        (),
        ("{0}", "main.tcl"),
        _TCL_ENDING % "assert_equal $one $two",
        (
            "proc one {x} {\n    return [list $x 1]\n}",
            "\nproc assert_equal {actual expected} {\n    if {$actual ne $expected} {\n"
            '        error "Expected: $expected | Actual: $actual"\n    }\n}\n\n'
            "interp alias {} candidate {} one\n\nassert_equal [candidate 2] [list 2 1]",
        ),
        ("assert_equal", _TCL_ENDING % "if {$one ne $two} {exit 1}"),
        limits=_SMALL,
    ),
    Language(
        "php",
        ("php",),
        ("php",),
        "main.php",
        (),
        ("{0}", "main.php"),
        '$lines = explode("\\n", stream_get_contents(STDIN));\n'
        'if ($lines[1] !== $lines[2]) { throw new Exception("Test failed!"); }\n'
        'echo "\\n", $lines[0], "\\n";',
        (
            "<?php\nfunction one($x) {\n    return [$x, 1];\n}",
            "function candidate(...$args) {\n    return one(...$args);\n}\n\nfunction test(): void {\n"
            '    if (candidate(2) !== [2, 1]) { throw new Exception("Test failed!"); }\n}\n\ntest();',
        ),
        limits=_SMALL,
    ),
    Language(
        "r",
        ("r",),
        ("Rscript",),
        "main.r",
        (),
        ("{0}", "main.r"),
        "local({ lines <- readLines(file('stdin'))\n"
        "if(!identical(lines[2], lines[3])){quit('no', 1)}\ncat('\\n', lines[1], '\\n', sep='') })",
        (
            "one <- function(x) {\n    c(x, 1)\n}",
            "test_humaneval <- function() {\ncandidate <- one\n"
            "    if(!identical(candidate(2), c(2, 1))){quit('no', 1)}\n}\ntest_humaneval()",
        ),
        limits=_RESERVING,
    ),
    Language(
        "c++",
        ("cpp",),
        ("g++",),
        "main.cpp",
        ("{0}", "-std=c++17", "-w", "main.cpp", "-o", "main"),
        ("./main",),
        _CPP_ENDING % "assert(y == z);",
        (
            "#include<assert.h>\nlong one(long x) {\n    return x + 1;",
            "}\nint main() {\n    auto candidate = one;\n    assert(candidate((2)) == (3));\n}\n",
        ),
        ("assert(", _CPP_ENDING % "if (y != z) return 1;"),
        "#include<assert.h>\n#include<iostream>\n#include<string>\n",
        inner=1,
        limits=_COMPILED,
    ),
    Language(
        "rust",
        ("rs",),
        ("rustc", "gcc|cc|clang"),
        "main.rs",
        ("{0}", "--edition", "2021", "-A", "warnings", "-C", "linker={1}", "main.rs", "-o", "main"),
        ("./main",),
        "{ let mut text = String::new();\n"
        "std::io::Read::read_to_string(&mut std::io::stdin(), &mut text).unwrap();\n"
        "let lines: Vec<&str> = text.lines().collect();\nassert_eq!(lines[1], lines[2]);\n"
        'println!("\\n{}", lines[0]); }',
        (
            "fn one(x: isize) -> isize {\n    x + 1",
            "}\n\nfn main() {\n    let candidate = one;\n    assert_eq!(candidate(2), 3);\n}\n",
        ),
        inner=1,
        limits=_COMPILED,
    ),
    Language(
        "java",
        ("java",),
        ("java", "javac"),
        "Problem.java",
        ("{1}", "-J-Xmx512m", "-J-XX:+UseSerialGC", "-encoding", "UTF-8", "-nowarn", "Problem.java"),
        ("{0}", "-ea", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", ".", "Problem"),
        "{ java.util.Scanner lines = new java.util.Scanner(System.in);\n"
        "String x = lines.nextLine(), y = lines.nextLine(), z = lines.nextLine();\n"
        'assert(y.equals(z)); System.out.println("\\n" + x); }',
        (
            "import java.util.*;\nimport org.javatuples.*;\nclass Problem {\n"
            "    public static Pair<Long, Long> one(long x) {\n        return Pair.with(x, 1l);",
            "    }\n    public static void main(String[] args) {\n"
            "    assert(one((2l)).equals((Pair.with(2l, 1l))));\n    }\n\n}\n",
        ),
        inner=2,
        support=(("org/javatuples/Pair.java", JAVA_PAIR),),
        limits=_RESERVING,
    ),
)

_BY_CODE = {code: each for each in LANGUAGES for code in (*each.codes, each.name)}


def language_named(code: str) -> Language | None:
    """A language by MultiPL-E's name of it; ``None`` for one that cannot be run here."""
    return _BY_CODE.get(code)
