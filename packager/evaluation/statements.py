"""In-toto statements about a package's evaluations: figures, and the verdict of the quality gate.

Deterministic: equal records give equal bytes. Formats: ``docs/evaluation-predicate.md`` and
https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from starfreight.evaluation import Evaluation
from starfreight.evaluation_statement import FIGURES, STATEMENT, Role, Subject
from starfreight.files import canonical_json, sha256_bytes
from starfreight.package import Package, Variant
from starfreight.package_evaluations import TEST_RESULT
from starfreight.packager.evaluation.conditions import Condition, Conditions
from starfreight.packager.evaluation.quality import RuleVerdict, Verdict
from starfreight.packager.file_names import lora_name, model_stem
from starfreight.recipe.evaluate import QualityRule
from starfreight.records import Part
from starfreight.strict_json import strict_loads

RULES = "package.quality"
"""Name of the rules in a verdict's configuration."""
CONDITIONS = "package.quality.conditions"
"""Name of the conditions of measurement in a verdict's configuration."""
_EVIDENCE = "evaluation"
MAX_VERDICT_BYTES = 1 << 20
_MOST_TESTS = 10_000
_RULES = TypeAdapter(tuple[QualityRule, ...])
_CONDITIONS = TypeAdapter(dict[str, Condition])


def figures_statement(package: Package, variant: Variant, role: Role, evaluation: Evaluation) -> bytes:
    """The statement about an evaluated file.

    Args:
        package: gives the file its name.
        variant: the variant to attach it to.
        role: relation of the evaluated model to the variant.
        evaluation: the finished record.
    """
    model = evaluation.model
    assert model.gguf is not None
    name = _gguf_name(package, variant) if role == "model" else f"{package.name}-{role}.gguf"
    subjects = [(name, model.gguf)]
    if model.adapter is not None:
        subjects.append((lora_name(package.name), model.adapter))
    return _statement(subjects, FIGURES, {"role": role, "evaluation": evaluation.model_dump(mode="json")})


def verdict_statement(
    package: Package,
    variant: Variant,
    verdict: Verdict,
    evidence: Iterable[str],
    revision: int,
    conditions: Conditions | None = None,
) -> bytes:
    """The statement about the quality of a variant.

    Args:
        package: the package.
        variant: its outcomes are stated.
        verdict: of all rules.
        evidence: digests of the statements with the figures.
        revision: counts the verdicts of a package. The latest one counts.
        conditions: of the figures.
    """
    outcomes = [each for each in verdict.outcomes if each.quantization == variant.quantization]
    rules = canonical_json([rule.model_dump(mode="json", exclude_defaults=True) for rule in verdict.rules])
    stated = {suite: each.model_dump(mode="json") for suite, each in (conditions or {}).items()}
    predicate: dict[str, Any] = {
        "result": _worst(outcomes),
        "configuration": [
            {**_content(RULES, rules), "annotations": {"revision": revision}},
            *([_content(CONDITIONS, canonical_json(stated))] if stated else []),
            *(
                {"name": _EVIDENCE, "digest": {"sha256": digest.removeprefix("sha256:")}}
                for digest in sorted(set(evidence))
            ),
        ],
        "passedTests": [each.name for each in outcomes if each.result == "PASSED"],
        "warnedTests": [each.name for each in outcomes if each.result == "WARNED"],
        "failedTests": [each.name for each in outcomes if each.result == "FAILED"],
    }
    subjects = [(_gguf_name(package, variant), variant.gguf.digest)]
    if package.adapter is not None:
        subjects.append((lora_name(package.name), package.adapter.digest))
    return _statement(subjects, TEST_RESULT, predicate)


class _Configuration(Part):
    name: Annotated[str, Field(max_length=500)]
    digest: Annotated[dict[str, Annotated[str, Field(max_length=200)]], Field(max_length=8)]
    media_type: Annotated[str | None, Field(alias="mediaType", max_length=200)] = None
    content: Annotated[str | None, Field(max_length=MAX_VERDICT_BYTES)] = None
    annotations: dict[str, int] = Field(default_factory=dict)


class _TestResult(Part):
    # Verdicts of other programs may have more.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: Annotated[tuple[_Configuration, ...], Field(min_length=1, max_length=_MOST_TESTS)]
    passed: Annotated[tuple[str, ...], Field(alias="passedTests", max_length=_MOST_TESTS)] = ()
    warned: Annotated[tuple[str, ...], Field(alias="warnedTests", max_length=_MOST_TESTS)] = ()
    failed: Annotated[tuple[str, ...], Field(alias="failedTests", max_length=_MOST_TESTS)] = ()


class _VerdictStatement(Part):
    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=2)]
    predicate_type: Annotated[
        Literal["https://in-toto.io/attestation/test-result/v0.1"], Field(alias="predicateType")
    ]
    predicate: _TestResult


@dataclass(frozen=True)
class RecordedVerdict:
    """A verdict as a package holds it.

    Attributes:
        result: of the variant.
        rules: those that were checked.
        revision: the highest one counts.
        evidence: digests of the statements with the figures.
        conditions: of the figures, by suite.
        files: digests of the files that it is about.
        tests: names of the tests that passed, passed with a warning, and failed.
    """

    result: Literal["PASSED", "WARNED", "FAILED"]
    rules: tuple[QualityRule, ...]
    revision: int
    evidence: frozenset[str]
    conditions: Conditions
    files: tuple[str, ...]
    tests: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def parse_verdict(data: bytes) -> RecordedVerdict | None:
    """Parse the verdict of a quality gate.

    Returns:
        ``None`` for a test result of another program.

    Raises:
        ValueError: it is damaged; completes the sentence "The verdict ...".
    """
    try:
        raw = strict_loads(data)
        names = [each["name"] for each in raw["predicate"]["configuration"]]
    except (LookupError, TypeError):
        return None
    except ValueError as error:
        raise ValueError(f"is not valid JSON: {error}") from None
    if RULES not in names:
        return None
    try:
        statement = _VerdictStatement.model_validate_json(data)
        first, *others = statement.predicate.configuration
        text = _held(first)
        rules = _RULES.validate_json(text)
        stated = [_CONDITIONS.validate_json(_held(each)) for each in others if each.name == CONDITIONS]
    except (ValidationError, binascii.Error, ValueError):
        raise ValueError("is not one that Starfreight wrote") from None
    if first.name != RULES or len(stated) > 1:
        raise ValueError("has no rules at its beginning, or several conditions")
    predicate = statement.predicate
    if predicate.result != ("FAILED" if predicate.failed else "WARNED" if predicate.warned else "PASSED"):
        raise ValueError("contradicts its list of tests")
    return RecordedVerdict(
        result=predicate.result,
        rules=rules,
        revision=first.annotations.get("revision", 0),
        evidence=frozenset(
            "sha256:" + each.digest.get("sha256", "") for each in others if each.name == _EVIDENCE
        ),
        conditions=stated[0] if stated else {},
        files=tuple("sha256:" + each.digest.get("sha256", "") for each in statement.subject),
        tests=(predicate.passed, predicate.warned, predicate.failed),
    )


def _content(name: str, data: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "mediaType": "application/json",
        "digest": {"sha256": sha256_bytes(data).removeprefix("sha256:")},
        "content": base64.b64encode(data).decode(),
    }


def _held(found: _Configuration) -> bytes:
    """The content of a part of the configuration.

    Raises:
        ValueError: not base64 of JSON, or with another digest.
    """
    data = base64.b64decode(found.content or "", validate=True)
    strict_loads(data)
    if found.digest != {"sha256": sha256_bytes(data).removeprefix("sha256:")}:
        raise ValueError("another digest")
    return data


def _worst(outcomes: Sequence[RuleVerdict]) -> str:
    return Verdict((), tuple(outcomes)).result


def _gguf_name(package: Package, variant: Variant) -> str:
    stem = model_stem(package.name, with_adapter=package.adapter is not None)
    return f"{stem}-{variant.quantization}.gguf"


def _statement(subjects: Iterable[tuple[str, str]], kind: str, predicate: dict[str, Any]) -> bytes:
    statement = {
        "_type": STATEMENT,
        "subject": [
            {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for name, digest in subjects
        ],
        "predicateType": kind,
        "predicate": predicate,
    }
    return json.dumps(statement, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"
