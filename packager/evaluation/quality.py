"""The quality gate: the rules of ``package.quality`` against the evaluations of a package.

    verdict = check_quality(rules, package, evaluations, scores)
    print(verdict.result)                        # PASSED, WARNED or FAILED

The rules hold for the default variant, which has to be measured, and for every other variant that was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starfreight.evaluation import Figure, Scores, SuiteResult
from starfreight.evaluation_statement import Role
from starfreight.package import Package
from starfreight.package_evaluations import PackagedEvaluation, PackageEvaluations, is_unconfined
from starfreight.packager.evaluation.conditions import Condition, Conditions
from starfreight.quantization import Quantization
from starfreight.recipe.evaluate import QualityRule

Result = Literal["PASSED", "WARNED", "FAILED"]
LEVEL = 0.05
"""Level of the one-sided test for ``not_below``."""

LoadScores = Callable[[PackagedEvaluation], Scores | None]


@dataclass(frozen=True)
class RuleVerdict:
    """A rule and a variant.

    Attributes:
        rule: the bound.
        quantization: the variant.
        result: ``WARNED`` for a bound inside the interval of a figure that meets it.
        reason: value, interval and bound in one sentence, or the reason why it was not measured.
        measured: false if the figure is missing.
        figure: the figure; ``None`` if it is missing.
        reference: the figure of the reference model, for ``not_below``.
    """

    rule: QualityRule
    quantization: Quantization
    result: Result
    reason: str
    measured: bool = True
    figure: Figure | None = None
    reference: Figure | None = None

    @property
    def name(self) -> str:
        """E.g. ``Q4_K_M: fim/exact_match at_least 0.4``."""
        return f"{self.quantization}: {rule_in_words(self.rule)}"

    def as_dict(self) -> dict[str, Any]:
        """The verdict as ``--json`` prints it."""
        return {
            "rule": self.rule.model_dump(mode="json", exclude_defaults=True),
            "quantization": str(self.quantization),
            "result": self.result,
            "measured": self.measured,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Verdict:
    """The verdict of all rules."""

    rules: tuple[QualityRule, ...]
    outcomes: tuple[RuleVerdict, ...]

    @property
    def result(self) -> Result:
        """The worst outcome."""
        found = {each.result for each in self.outcomes}
        return "FAILED" if "FAILED" in found else "WARNED" if "WARNED" in found else "PASSED"

    def as_dict(self) -> dict[str, Any]:
        """The verdict as ``--json`` prints it."""
        return {"result": self.result, "rules": [each.as_dict() for each in self.outcomes]}

    def as_lines(self) -> list[str]:
        """The verdict for people."""
        return [f"{each.result:6}  {each.name}: {each.reason}" for each in self.outcomes]


def rule_in_words(rule: QualityRule) -> str:
    """E.g. ``fim/exact_match at_least 0.4``, ``humaneval/pass@1 not_below F16 within 0.02``."""
    name = f"{rule.suite}/{rule.figure}"
    if rule.at_least is not None:
        return f"{name} at_least {rule.at_least:g}"
    if rule.at_most is not None:
        return f"{name} at_most {rule.at_most:g}"
    return f"{name} not_below {rule.not_below}" + (f" within {rule.within:g}" if rule.within else "")


def check_quality(
    rules: Sequence[QualityRule],
    package: Package,
    evaluations: PackageEvaluations,
    scores: LoadScores,
    default: Quantization | None = None,
    conditions: Conditions | None = None,
) -> Verdict:
    """Check rules.

    ``at_least`` and ``at_most`` bound the figure's value. ``not_below`` is missed if the model is worse than
    the reference on the same problems by a one-sided paired test at the 5 % level. With ``within``, no test
    is made: the value itself may be worse by that much, and no more.

    Args:
        rules: of the recipe.
        package: its variants.
        evaluations: its figures, and those of reference models.
        scores: loads the values of the items; called for ``not_below`` alone.
        default: the variant that has to be measured; the package's default one by default.
        conditions: problems and options of the suites; a figure of other ones does not count. Figures of
            generated code that ran without a sandbox never count.
    """
    default = default or package.default
    figures = _Figures(evaluations, conditions or {})
    outcomes = []
    for variant in package.variants:
        measured = bool(evaluations.of(variant.quantization))
        if measured or variant.quantization == default:
            outcomes += [_check(rule, variant.quantization, figures, scores) for rule in rules]
    return Verdict(tuple(rules), tuple(outcomes))


@dataclass(frozen=True)
class _Figures:
    """The results that count for a gate."""

    evaluations: PackageEvaluations
    conditions: Conditions

    def result(
        self, quantization: Quantization, suite: str, role: Role = "model"
    ) -> tuple[PackagedEvaluation, SuiteResult] | None:
        for found in self.evaluations.all_results(quantization, suite, role):
            asked = self.conditions.get(suite)
            if not is_unconfined(found[0].evaluation) and asked in (None, Condition.of(found[1])):
                return found
        return None


def _check(
    rule: QualityRule, quantization: Quantization, evaluations: _Figures, scores: LoadScores
) -> RuleVerdict:
    found = evaluations.result(quantization, rule.suite)
    figure = _figure(found, rule)
    if found is None or figure is None:
        return RuleVerdict(rule, quantization, "FAILED", _missing(rule, quantization, evaluations), False)
    value = in_words(figure)
    bound = rule.at_least if rule.at_least is not None else rule.at_most
    if bound is None:
        return _not_below(rule, quantization, found, figure, evaluations, scores)
    if rule.at_least is not None:
        met, sure = figure.value >= bound, figure.low >= bound
    else:
        met, sure = figure.value <= bound, figure.high <= bound
    if not met:
        return RuleVerdict(rule, quantization, "FAILED", value, figure=figure)
    if sure:
        return RuleVerdict(rule, quantization, "PASSED", value, figure=figure)
    reason = f"{value}; the interval reaches beyond the bound"
    return RuleVerdict(rule, quantization, "WARNED", reason, figure=figure)


def _not_below(
    rule: QualityRule,
    quantization: Quantization,
    found: tuple[PackagedEvaluation, SuiteResult],
    figure: Figure,
    evaluations: _Figures,
    scores: LoadScores,
) -> RuleVerdict:
    role = rule.not_below
    assert role is not None
    reference = evaluations.result(quantization, rule.suite, role)
    if reference is None and role == "F16":  # It may be a variant of the package itself.
        reference = evaluations.result(Quantization.F16, rule.suite)
    other = _figure(reference, rule)

    def verdict(result: Result, reason: str, *, measured: bool = True) -> RuleVerdict:
        return RuleVerdict(rule, quantization, result, reason, measured, figure, other)

    if reference is None or other is None:
        return verdict(
            "FAILED", f"{rule.suite} was not measured on the reference model {role}", measured=False
        )
    if not _same_problems(found[1], reference[1]):
        return verdict("FAILED", f"{role} was measured on other problems or settings", measured=False)
    value = f"{in_words(figure)}, {role} {in_words(other)}"
    worse = other.value - figure.value if figure.better == "higher" else figure.value - other.value
    if rule.within:
        return verdict("FAILED" if worse > rule.within else "PASSED", value)
    p = _p_worse(rule, found[0], reference[0], figure, scores)
    if p is None:
        return verdict("FAILED", f"the values of the items are missing, or too few: {value}", measured=False)
    test = f"{value}; one-sided p = {p:.2g}"
    if p < LEVEL:
        return verdict("FAILED", f"{test}, significantly worse")
    return verdict("WARNED" if worse > 0 else "PASSED", test)


def _p_worse(
    rule: QualityRule,
    found: PackagedEvaluation,
    reference: PackagedEvaluation,
    figure: Figure,
    load: LoadScores,
) -> float | None:
    """Probability of a deficit as large if both models were equal; ``None`` without values to compare."""
    from starfreight.statistics import compare_pairs

    pairs = []
    problems: dict[str, str] = {}
    for each in (reference, found):
        loaded = load(each)
        suite = loaded.suites.get(rule.suite) if loaded else None
        values = suite.figures.get(rule.figure) if suite else None
        if suite is None or not values:
            return None
        pairs.append(values)
        problems |= suite.problems
    clusters = {item: problems.get(item, item) for values in pairs for item in values}
    try:
        difference = compare_pairs(pairs[0], pairs[1], clusters)
    except OverflowError:  # Of sums; no suite has such values.
        return None
    if difference is None:
        return None
    worse = difference.mean < 0 if figure.better == "higher" else difference.mean > 0
    return difference.p / 2 if worse else 1 - difference.p / 2


def _figure(found: tuple[PackagedEvaluation, SuiteResult] | None, rule: QualityRule) -> Figure | None:
    name, _, part = rule.figure.partition("/")
    return found[1].figure(name, part) if found else None


def _same_problems(first: SuiteResult, second: SuiteResult) -> bool:
    return Condition.of(first) == Condition.of(second)


def _missing(rule: QualityRule, quantization: Quantization, evaluations: _Figures) -> str:
    found = evaluations.result(quantization, rule.suite)
    if found is not None:
        known = ", ".join(dict.fromkeys(_names(found[1])))
        return f"not measured: {rule.suite} has no figure {rule.figure}, but {known[:300]}"
    others = evaluations.evaluations.all_results(quantization, rule.suite)
    if any(not is_unconfined(each.evaluation) for each, _ in others):
        return f"not measured: {rule.suite} was run with other problems or options than the recipe's"
    if others:
        return f"not measured: {rule.suite} was run without a sandbox, where code can write its own figures"
    for each in evaluations.evaluations.of(quantization):
        result = each.evaluation.result(rule.suite)
        if result is not None and result.skipped:
            return f"not measured: {rule.suite} was skipped: {result.skipped}"
    return f"not measured: {rule.suite} was not run"


def _names(result: SuiteResult) -> Iterator[str]:
    for figure in result.figures[:50]:
        yield f"{figure.name}/{figure.part}" if figure.part else figure.name


def in_words(figure: Figure) -> str:
    """A figure with its interval: ``0.412 (0.35 to 0.47)``."""
    value = f"{figure.value:.4g}"
    return value if figure.method == "none" else f"{value} ({figure.low:.4g} to {figure.high:.4g})"
