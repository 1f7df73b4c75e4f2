"""The record's answers to the model documentation form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from starfreight.console import human_count, time_in_words
from starfreight.packager.papers.answers import (
    SOURCE_HEAD,
    base_model,
    data_unknown,
    evidence,
    latest_data,
    shares,
    source_row,
)
from starfreight.packager.papers.facts import Facts
from starfreight.packager.papers.interface import Answer, text

_BANDS = (
    (5 * 10**8, "1 to 500 million"),
    (5 * 10**9, "500 million to 5 billion"),
    (15 * 10**9, "5 to 15 billion"),
    (50 * 10**9, "15 to 50 billion"),
    (100 * 10**9, "50 to 100 billion"),
    (500 * 10**9, "100 to 500 billion"),
    (10**12, "500 billion to 1 trillion"),
)
_FILTERS = ("vendored", "generated", "minified", "exact_duplicates", "near_duplicates")


def answers(facts: Facts) -> Mapping[str, Answer]:
    """See :attr:`Form.answer`."""
    package, card = facts.package, facts.provenance.recipe.package.card
    context = f"Text: at most {package.context_length:,} tokens, input and output together."
    return {
        "updated": text(f"{package.created}, the end of the run {package.run}."),
        "provider_or_not": text(*facts.compute.lines()),
        "provider": text(*(f"Author named in the recipe: {each}" for each in card.authors)),
        "model": text(f"{package.title} ({package.name}), run {package.run}."),
        "authenticity": _authenticity(facts),
        "release": text(f"Not before {package.created}, when it was trained."),
        "dependencies": base_model(facts),
        "architecture": text(f"Decoder-only transformer for code, {package.architecture} in GGUF."),
        "design": text(card.description),
        "input": text(context),
        "output": text(context),
        "size": text(f"{package.parameters:,} ({_band(package.parameters)})."),
        "channels": text(
            f"Weights in GGUF files in an OCI registry: {facts.where}" if facts.published else ""
        ),
        "license": text(*(f"{each.name}; its text is in the package." for each in package.licenses)),
        "assets": _assets(facts),
        "uses": text(card.intended_use, card.limitations and f"Limitations: {card.limitations}"),
        "systems": text("Completion of code in editors and other tools for programming."),
        "integration": text(
            "GGUF files in OCI artifacts for Ollama, llama.cpp, Docker Model Runner, RamaLama, podman and "
            "Kubernetes; their HTTP interfaces."
        ),
        "hardware": text(
            *(
                f"{each.quantization}: {human_count(each.gguf.size, 'B')} of memory for the weights, and "
                "more for the context."
                for each in package.variants
            )
        ),
        "software": text("A program that reads GGUF, such as llama.cpp or Ollama."),
        "process": text(*_process(facts)),
        "data_types": text("Text."),
        "data_origin": Answer(
            lines=() if facts.counted else (data_unknown(facts),),
            head=SOURCE_HEAD,
            rows=tuple(map(source_row, facts.sources)),
        ),
        "data_obtained": text(
            "Sources are named by the recipe. Repositories, datasets and artifacts are fetched from the "
            "addresses above; packages and local sources are read from disk.",
            *latest_data(facts).lines,
        ),
        "data_points": text(_points(facts)),
        "data_scope": shares(facts, "languages", "programming language"),
        "curation": text(*_curation(facts)),
        "unsuitable": shares(facts, "licenses", "license"),
        "time": text(*_time(facts)),
        "operations": text(facts.compute.lines()[0]),
        "method": text(
            "Operations per weight and token, without measuring: 2 for the forward pass, 2 for the backward "
            "pass through frozen weights, 6 for each weight of the adapter, 2 more where activations are "
            "computed again; at most 8. Evaluation during training is left out."
        ),
    }


def _band(parameters: int) -> str:
    return next((name for most, name in _BANDS if parameters <= most), "more than 1 trillion")


def _authenticity(facts: Facts) -> Answer:
    rows = [
        (str(variant.quantization), each.format, each.manifest.digest)
        for variant in facts.package.variants
        for each in variant.manifests
    ]
    rows += [(str(each.quantization), "GGUF file", each.gguf.digest) for each in facts.package.variants]
    return Answer(lines=evidence(facts).lines, head=("variant", "object", "digest"), rows=tuple(rows))


def _assets(facts: Facts) -> Answer:
    card = facts.provenance.recipe.package.card
    return text(
        f"Repository: {card.repository}" if card.repository else "",
        f"Page: {card.url}" if card.url else "",
        "In the package: recipe, provenance, license texts"
        + (", data manifest." if facts.package.training_data else "."),
    )


def _process(facts: Facts) -> list[str]:
    training = facts.provenance.recipe.training
    length = (
        human_count(training.steps, "steps")
        if training.steps
        else f"{human_count(training.epochs or 1, 'passes')} over the data"
    )
    names = {
        "qlora": "QLoRA: an adapter on 4-bit weights",
        "lora": "LoRA: an adapter on the original weights",
    }
    return [
        f"{names.get(training.method, training.method)}, rank {training.rank}, alpha {training.alpha}, "
        f"dropout {training.dropout}.",
        f"{length}, batches of {training.batch_size} times {training.gradient_accumulation}, sequences of "
        f"{training.sequence_length:,} tokens, learning rate {training.learning_rate} ({training.schedule}), "
        f"weight decay {training.weight_decay}, seed {training.seed}.",
        "It minimises the cross-entropy of the next token, with parts of files moved to be filled in.",
    ]


def _points(facts: Facts) -> str:
    if not facts.counted:
        return data_unknown(facts)
    train, held = (
        sum(getattr(each, name).samples for each in facts.counted) for name in ("train", "held_out")
    )
    tokens = facts.compute.tokens
    seen = f" The run read {tokens:,} tokens." if tokens is not None else ""
    return f"{human_count(train, 'texts')} for training, {held:,} held out for validation.{seen}"


def _curation(facts: Facts) -> list[str]:
    lines = []
    for name in ("opt_out", "license", *_FILTERS, "secrets", "personal_data", "contamination", "unusable"):
        count = facts.left_out(name)
        if count:
            lines.append(f"{name}: {human_count(count, 'texts')} left out.")
    filters = [each.data.filters for each in facts.sources]
    active = [name for name in _FILTERS if any(getattr(each, name) for each in filters)]
    return [f"Filters: license, {', '.join(active)}." if active else "Filters: license.", *lines]


def _time(facts: Facts) -> list[str]:
    provenance = facts.provenance
    lines = []
    times = (provenance.started, provenance.ended)
    try:
        begin, end = (datetime.fromisoformat(str(each).replace("Z", "+00:00")) for each in times)
        took = time_in_words((end - begin).total_seconds())
        lines.append(f"{took}, from {times[0]} to {times[1]}.")
    except (ValueError, TypeError):
        pass
    machine = provenance.machine or {}
    if machine.get("device"):
        processor = machine.get("processor", "unknown processor")
        lines.append(f"On {machine.get('processes') or 1} x {machine['device']} ({processor}).")
    return lines
