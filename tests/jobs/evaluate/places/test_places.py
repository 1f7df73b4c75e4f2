"""Places cut from files of many languages and shapes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from starfreight.jobs.evaluate.places import Place, choose_places
from starfreight.jobs.evaluate.places.candidates import KINDS, MOST_CHARACTERS, MOST_LINES, candidates
from starfreight.jobs.evaluate.suites.interface import HeldOutFile

PYTHON = '''\
"""Areas of shapes."""

import math

RADIUS = 3


def circle(radius, digits=2):
    """The area of a circle."""
    area = math.pi * radius ** 2
    return round(area, digits)


class Square:
    def __init__(self, side):
        self.side = side

    def area(self):
        if self.side < 0:
            raise ValueError(f"side {self.side}")
        return self.side * self.side
'''
SOURCES = {
    "shapes.py": PYTHON,
    "crlf.py": PYTHON.replace("\n", "\r\n"),
    "tabs.py": PYTHON.replace("    ", "\t"),
    "no_end.py": PYTHON.rstrip("\n"),
    "unicode.py": PYTHON.replace("radius", "半径").replace("area", "fläche") + 'WORDS = "🙂 a\u2028b\x0cc"\n',
    "broken.py": PYTHON.replace("return self.side * self.side", "return (self.side *"),
    "shapes.js": "function area(side) {\n  return multiply(side, side);\n}\nconsole.log(area(3));\n",
    "shapes.ts": "const area = (side: number): number => {\n  return side * side;\n};\n",
    "Shapes.java": "class Shapes {\n  int area(int side) {\n    return side * side;\n  }\n}\n",
    "shapes.c": "#include <math.h>\n\nint area(int side) {\n  return power(side, 2);\n}\n",
    "shapes.go": "package shapes\n\nfunc Area(side int) int {\n\treturn multiply(side, side)\n}\n",
    "shapes.rs": "fn area(side: u32) -> u32 {\n    side.pow(2)\n}\n\nfn main() {\n    show(area(3));\n}\n",
    "shapes.rb": "def area(side)\n  multiply(side, side)\nend\n\nputs area(3)\n",
    "shapes.php": "<?php\nfunction area($side) {\n    return multiply($side, $side);\n}\n",
    "shapes.sh": "area() {\n  echo $(($1 * $1))\n}\narea 3\n",
    "shapes.lua": "function area(side)\n  return side * side\nend\nprint(area(3))\n",
}


def held_out(sources: dict[str, str]) -> list[HeldOutFile]:
    return [HeldOutFile(f"0/{path}", "shapes", path, "x", text) for path, text in sources.items()]


def ids(places: Sequence[Place]) -> list[str]:
    return [place.id for place in places]


@pytest.mark.parametrize("path", SOURCES)
def test_every_place_is_a_part_of_its_file_that_is_worth_completing(path: str) -> None:
    text = SOURCES[path]
    found = list(candidates(text, path))
    assert found
    assert len({(start, end) for _, start, end in found}) == len(found)
    for kind, start, end in found:
        middle = text[start:end]
        assert kind in KINDS
        assert middle == middle.strip()
        assert any(character.isalnum() for character in middle)
        assert len(middle) <= MOST_CHARACTERS
        assert middle.count("\n") < MOST_LINES
        if kind == "line":
            line = text[text.rfind("\n", 0, start) + 1 :].split("\n")[0]
            assert middle == line.strip()
        if kind == "line end":
            line = text[text.rfind("\n", 0, start) + 1 :].split("\n")[0].strip()
            assert line.endswith(middle)
            assert 3 <= len(middle) < len(line) or text[start - 1].isspace()


def test_the_kinds_of_nodes_are_found_where_they_are() -> None:
    found = {(kind, PYTHON[start:end]) for kind, start, end in candidates(PYTHON, "shapes.py")}
    assert ("function body", "self.side = side") in found
    assert ("arguments", "(area, digits)") in found
    assert ("expression", "math.pi * radius ** 2") in found
    assert ("block", 'raise ValueError(f"side {self.side}")') in found
    assert ("line", "RADIUS = 3") in found
    assert any(kind == "lines" and "\n" in middle for kind, middle in found)


def test_characters_beyond_ascii_move_no_place() -> None:
    text = SOURCES["unicode.py"]
    assert ("expression", "math.pi * 半径 ** 2") in {
        (kind, text[start:end]) for kind, start, end in candidates(text, "unicode.py")
    }


@pytest.mark.parametrize(
    "text", ["", "\n\n", "x = 1", "x = 1\n", "}\n)\n", "\ufeff", "# a comment", "a" * 5000, "((((" * 3000]
)
def test_files_with_little_in_them_never_give_all_of_their_text(text: str) -> None:
    for _, start, end in candidates(text, "little.py"):
        assert text[start:end].strip() != text.strip()


def test_random_texts_are_cut_without_errors() -> None:
    rng = random.Random(1)
    alphabet = "ab(){}[]\"'#/*\n\r\t \x00\x85\u2028é🙂\ud800:=,.\\"
    for _ in range(300):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(120)))
        path = rng.choice(list(SOURCES))
        for _, start, end in candidates(text, path):
            assert text[start:end].strip()


def test_the_same_seed_gives_the_same_places_and_another_one_others() -> None:
    files = held_out(SOURCES)
    chosen = ids(choose_places(files, 30, 0))
    assert chosen == ids(choose_places(list(reversed(files)), 30, 0))
    assert len(set(chosen)) == 30
    assert set(chosen) != set(ids(choose_places(files, 30, 1)))
    # In a file, too.
    first = {place.kind: place.id for place in choose_places(files[:1], len(KINDS), 0)}
    second = {place.kind: place.id for place in choose_places(files[:1], len(KINDS), 1)}
    assert sum(first[kind] != second[kind] for kind in KINDS) >= 3


def test_fewer_places_are_the_first_of_more() -> None:
    files = held_out(SOURCES)[:4]
    assert ids(choose_places(files, 40, 0))[:12] == ids(choose_places(files, 12, 0))


def test_a_new_file_moves_few_places() -> None:
    files = held_out({f"area_{number}.py": PYTHON.replace("3", str(number)) for number in range(30)})
    before = ids(choose_places(files[1:], 60, 0))
    after = ids(choose_places(files, 60, 0))
    new = [name for name in after if name.startswith(f"{files[0].id}:")]
    assert [name for name in after if name not in new] == before[: 60 - len(new)]
    assert len(new) < 10


def test_kinds_and_files_are_chosen_evenly() -> None:
    files = held_out({f"area_{number}.py": PYTHON.replace("3", str(number)) for number in range(30)})
    places = choose_places(files, 60, 0)
    kinds = Counter(place.kind for place in places)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 4
    assert max(kinds.values()) <= 20
    assert len({place.file.id for place in places}) >= 20


def test_copies_of_a_file_are_cut_once() -> None:
    places = choose_places(held_out({"one.py": PYTHON, "two.py": PYTHON, "three.py": PYTHON}), 100, 0)
    assert len({place.file.id for place in places}) == 1


def test_an_id_names_line_and_column_and_stays_short() -> None:
    (file,) = held_out({"shapes.py": PYTHON})
    place = next(place for place in choose_places([file], 500, 0) if place.middle == "math.pi * radius ** 2")
    assert place.id == "0/shapes.py:10:12+21"
    long = [
        HeldOutFile("0/" + letter * 4000 + ".py", "r", "a.py", "Python", PYTHON + letter) for letter in "ab"
    ]
    found = ids(choose_places(long, 20, 0))
    assert len(set(found)) == 20
    assert max(map(len, found)) < 400
