"""Errors for records of no known dialect: the nearest one, and the keys to add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.data.dialects.interface import Dialect
from starfreight.jobs.data.rows.values import is_missing

_PROMPTS = ("prompt", "instruction", "question", "query", "problem", "task", "input", "user", "request")
_ANSWERS = (
    "response", "completion", "output", "answer", "solution", "assistant", "reply", "target", "code",
)  # fmt: skip
_BESIDE = {"system": ("system", "system_prompt"), "input": ("input", "context")}
_PREFERRED = ("chosen", "rejected")


def unknown_dialect(record: Mapping[str, Any], dialects: Sequence[Dialect], where: str) -> InputError:
    """Return the error for a record that no dialect reads."""
    keys = [str(key) for key, value in record.items() if not is_missing(value)]
    has = ", ".join(sorted(keys))[:300] or "none"
    preferred = [name for name in _PREFERRED if name in keys]
    if preferred:
        return InputError(
            f"The record is a pair of preferences ({', '.join(preferred)}), "
            "which instruction tuning does not use.",
            where=where,
            fix="set data.columns to learn one of them: columns: "
            + ("{prompt: prompt, response: chosen}" if "prompt" in keys else f"{{messages: {preferred[0]}}}")
            + f"; its keys: {has}",
        )
    if all(name in keys for name in ("prefix", "middle", "suffix")):
        return InputError(
            "The record has prefix, middle and suffix: it is for fill-in-the-middle.",
            where=where,
            fix="set data.format to fim",
        )
    lists = _lists(record, keys)
    # Of several with as many keys, that of the shape of the record.
    nearest = max(
        dialects,
        key=lambda each: (sum(key in keys for key in each.keys), (len(each.keys) == 1) == bool(lists)),
    )
    missing = [key for key in nearest.keys if key not in keys]
    return InputError(
        f"The record is of no known dialect of instructions. The nearest is {nearest.name}; "
        f"missing: {', '.join(missing)}.",
        where=where,
        fix=f"{_advice(record, keys, lists)}; its keys: {has}",
    )


def _lists(record: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """Return the keys of lists of objects."""
    return [
        key
        for key in keys
        if isinstance(record.get(key), list) and record[key] and isinstance(record[key][0], Mapping)
    ]


def _advice(record: Mapping[str, Any], keys: Sequence[str], lists: Sequence[str]) -> str:
    if lists:
        if not any(name in record[lists[0]][0] for name in ("role", "from")):
            return f"write each object of the list {lists[0]!r} as a record of its own"
        return f"name the column with the messages: columns: {{messages: {lists[0]}}}"
    folded = {key.lower(): key for key in keys}
    prompt = next((folded[name] for name in _PROMPTS if name in folded), None)
    answer = next((folded[name] for name in _ANSWERS if name in folded and folded[name] != prompt), None)
    if prompt is None or answer is None:
        return "name its columns: columns: {prompt: ..., response: ...}, or set data.format to code for files"
    columns = {"prompt": prompt, "response": answer}
    for kind, names in _BESIDE.items():
        found = next((folded[name] for name in names if name in folded), None)
        if found is not None and found not in columns.values() and found != kind:
            columns[kind] = found
    return (
        "name its columns: columns: {" + ", ".join(f"{kind}: {name}" for kind, name in columns.items()) + "}"
    )
