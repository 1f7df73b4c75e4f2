"""The model card in a bill of materials: parameters, figures, considerations. Part of form 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starfreight.evaluation import Figure
from starfreight.packager.bom.components import description, source_reference
from starfreight.packager.bom.facts import BomFacts
from starfreight.packager.bom.values import line, present, properties

_MOST_METRICS = 2_000
_LOSSES = {"loss": "loss", "exactMatch": "exact_match"}
"""Figures of the held-out data in the statement, and their names here."""


def model_card(facts: BomFacts) -> dict[str, Any]:
    """CycloneDX's ``modelCard`` of the tuned model."""
    recipe, package = facts.provenance.recipe, facts.package
    card = recipe.package.card
    formats = {source.format for source in recipe.data}
    metrics = [*_losses(facts), *_figures(facts)][:_MOST_METRICS]
    return present(
        {
            "modelParameters": {
                "approach": {"type": "supervised" if formats == {"instruct"} else "self-supervised"},
                "task": "text-generation",
                "architectureFamily": "transformer",
                "modelArchitecture": line(package.architecture),
                "datasets": [{"ref": source_reference(each.number)} for each in facts.provenance.sources],
                "inputs": [{"format": "text/plain"}],
                "outputs": [{"format": "text/plain"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": metrics} if metrics else None,
            "considerations": present(
                {
                    "useCases": [each] if (each := description(card.intended_use)) else None,
                    "technicalLimitations": [each] if (each := description(card.limitations)) else None,
                }
            )
            or None,
            "properties": properties(_training(facts)),
        }
    )


def _training(facts: BomFacts) -> dict[str, object]:
    recipe = facts.provenance.recipe
    training = recipe.training
    machine = facts.provenance.machine or {}
    outcome = training_outcome(facts)
    return {
        "model:parameters": facts.package.parameters,
        "model:context-length": facts.package.context_length,
        "model:shipped-as": recipe.package.ship,
        "training:method": training.method,
        "training:data-formats": ", ".join(dict.fromkeys(source.format for source in recipe.data)),
        "training:rank": training.rank,
        "training:alpha": training.alpha,
        "training:sequence-length": training.sequence_length,
        "training:learning-rate": training.learning_rate,
        "training:seed": training.seed,
        "training:steps": _number(outcome.get("steps")),
        "training:tokens": _number(outcome.get("tokens")),
        "training:seconds": _number(outcome.get("seconds")),
        "training:device": machine.get("device"),
        "training:processes": _number(machine.get("processes")),
        "training:started": facts.provenance.started,
        "training:ended": facts.provenance.ended,
    }


def training_outcome(facts: BomFacts) -> Mapping[str, Any]:
    """The outcome of training in the statement; empty for earlier statements."""
    found = facts.provenance.training
    return found if isinstance(found, dict) else {}


def _losses(facts: BomFacts) -> Iterator[dict[str, Any]]:
    outcome = training_outcome(facts)
    for moment in ("before", "after"):
        measured = outcome.get(moment)
        if not isinstance(measured, dict):
            continue
        for key, name in _LOSSES.items():
            if (value := _number(measured.get(key))) is not None:
                yield {"type": name, "value": value, "slice": f"held-out data, {moment} training"}


def _figures(facts: BomFacts) -> Iterator[dict[str, Any]]:
    for variant in facts.package.variants:
        for _, result in facts.evaluations.results(variant.quantization):
            for figure in result.figures:
                words = [result.suite, *([figure.part] if figure.part else []), str(variant.quantization)]
                yield present(
                    {
                        "type": line(figure.name),
                        "value": repr(figure.value) + (f" {line(figure.unit)}" if _has_unit(figure) else ""),
                        "slice": line(", ".join(words)),
                        "confidenceInterval": None
                        if figure.method == "none"
                        else {"lowerBound": repr(figure.low), "upperBound": repr(figure.high)},
                    }
                )


def _has_unit(figure: Figure) -> bool:
    return figure.unit not in ("", "fraction")


def _number(value: object) -> str | None:
    """A number as text; ``None`` for anything else."""
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
