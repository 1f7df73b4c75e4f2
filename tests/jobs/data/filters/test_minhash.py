from __future__ import annotations

import hashlib
import random
import sysconfig
from pathlib import Path

import numpy as np

from starfreight.jobs.data.filters.minhash import PERMUTATIONS, signature
from starfreight.jobs.data.word_hashes import ngram_hashes, word_hashes

TEXT = "".join(f"def f{number}(a, b):\n    return a * {number} + b\n\n" for number in range(60))


def similarity(first: str, second: str) -> float:
    signatures = [np.frombuffer(signature(word_hashes(text)) or b"", dtype="<u4") for text in (first, second)]
    return float(np.mean(signatures[0] == signatures[1]))


def test_the_signature_is_the_same_for_ever() -> None:
    # Recorded with datasketch 2.0.0 and numpy 2.4.6. If this fails, runs of one data set no longer agree.
    value = signature(word_hashes("Zähle 数を数える, x_1 + y;\n" * 3 + TEXT))
    assert value is not None
    assert len(value) == PERMUTATIONS * 4
    assert (
        hashlib.sha256(value).hexdigest()
        == "7eabdd71e4820dbced45a317ea3151b4bada67db79e0f10682a259c5637886c7"
    )


def test_signatures_are_those_of_datasketch_at_any_length() -> None:
    # Recorded with datasketch 2.0.0: MinHash(num_perm=128, seed=1, scheme="affine32"), at lengths around the
    # sizes of batches.
    digest = hashlib.sha256()
    for length in (14, 15, 100, 515, 516, 517, 1027, 1028, 1029, 5000):
        text = " ".join(f"w{number * number % 997}" for number in range(length))
        value = signature(word_hashes(text)) or b""
        digest.update(value)
        if length == 14:
            values = np.frombuffer(value, dtype="<u4").tolist()
            assert values[:4] == [466800344, 19683588, 465473901, 92331731]
            assert values[-2:] == [100819787, 957437864]
    assert digest.hexdigest() == "b10c0df6b60777472c30371706bc1a0ce091e3117bcc703c4ba7f8867060e281"


def test_the_estimate_is_near_the_true_similarity() -> None:
    lines = TEXT.splitlines(keepends=True)
    random.Random(1).shuffle(lines)
    for part in (0.5, 0.9, 1.0):
        other = "".join(lines[: int(len(lines) * part)])
        first, second = (set(ngram_hashes(word_hashes(text), 5).tolist()) for text in ("".join(lines), other))
        true = len(first & second) / len(first | second)
        assert abs(similarity("".join(lines), other) - true) < 0.12


def test_case_layout_and_punctuation_do_not_count() -> None:
    assert similarity(TEXT, TEXT.upper().replace("\n", "\r\n").replace("    ", "\t")) == 1.0


def test_a_short_text_has_no_signature() -> None:
    assert signature(word_hashes("")) is None
    assert signature(word_hashes("import os\nimport sys\n")) is None
    assert signature(word_hashes(" ".join(map(str, range(13))))) is None
    assert signature(word_hashes(" ".join(map(str, range(14))))) is not None


def test_words_are_what_is_said() -> None:
    def same(first: str, second: str) -> bool:
        return word_hashes(first).tolist() == word_hashes(second).tolist()

    assert len(word_hashes("a b_1, c\n\nd")) == 4
    assert len(word_hashes("数を数")) == 3
    assert len(word_hashes("naïve Straße")) == 2
    assert len(word_hashes(" ,;\n")) == 0
    assert len(word_hashes("\ud800 x")) == 2
    assert same("Foo BAR", "foo,bar")
    assert not same("ab c", "a bc")
    assert not same("ab", "ba")
    assert same("x" * 300, "x" * 256)


def test_different_words_have_different_hashes() -> None:
    words = set()
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        words |= set(file.read_text(encoding="ascii", errors="replace").lower().split())
    plain = sorted(word for word in words if word.isascii() and word.replace("_", "a").isalnum())
    assert len(plain) > 5_000
    assert len(set(word_hashes(" ".join(plain)).tolist())) == len(plain)


def test_runs_depend_on_the_order() -> None:
    words = word_hashes("a b c a c b")
    assert len(ngram_hashes(words, 3)) == 4
    assert len(set(ngram_hashes(words, 3).tolist())) == 4
    assert ngram_hashes(word_hashes("a b c"), 3).tolist() == ngram_hashes(words, 3).tolist()[:1]
    assert len(ngram_hashes(words, 7)) == 0
