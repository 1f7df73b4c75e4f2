"""``data``: sources, repositories and contents of the training data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from starfreight.console import human_count
from starfreight.data_manifest import DataManifest
from starfreight.opt_out_list import repository_names
from starfreight.packager.provenance.policy.models import DataRules
from starfreight.packager.provenance.policy.policy import Policy
from starfreight.packager.provenance.policy.sections.interface import passed, refused
from starfreight.packager.provenance.trust.pattern import matches
from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.pages.visible_text import shortened, visible

_TRAIN = "train without this data, or change the policy"
_BUILD = "build the package with package.data_manifest: include"


class DataSection:
    """The sources are in the statement; repositories and contents need the data manifest in the package."""

    def findings(self, policy: Policy, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Section.findings`."""
        rules = policy.file.data
        if rules is None:
            return
        yield from _sources(policy, rules, examined)
        needs = {
            "data.manifest": rules.manifest,
            "data.forbidden_repositories": bool(rules.forbidden_repositories),
            "data.opt_out": rules.opt_out is not None,
        }
        needing = [key for key, needed in needs.items() if needed]
        if not needing:
            return
        if examined.data is None:
            what = "The package does not contain the data manifest."
            yield refused(policy, needing[0], what, _BUILD)
            return
        yield passed("data.manifest", "The package contains its data manifest.")
        if len(needing) > 1 or not rules.manifest:
            yield from _entries(policy, rules, examined.data)


def _sources(policy: Policy, rules: DataRules, examined: Examined) -> Iterator[Finding]:
    if rules.sources is None and not rules.forbidden_sources:
        return
    if examined.data is not None:
        sources = [each.source for each in examined.data.sources]
    elif examined.provenance is not None:
        sources = [each.source for each in examined.provenance.sources]
    else:
        sources = []
    if not sources:
        yield refused(policy, "data", "The sources of the training data are unknown.", _BUILD)
        return
    forbidden = [each for each in sources if _any(rules.forbidden_sources, each)]
    others = [each for each in sources if rules.sources is not None and not _any(rules.sources, each)]
    if forbidden:
        what = f"The source {_shown(forbidden[0])} is forbidden."
        yield refused(policy, "data.forbidden_sources", what, _TRAIN)
    if others:
        what = f"The source {_shown(others[0])} is not in the list of allowed ones."
        yield refused(policy, "data.sources", what, _TRAIN)
    if not forbidden and not others:
        yield passed("data.sources", f"The sources of the training data are allowed: {len(sources)}.")


def _entries(policy: Policy, rules: DataRules, data: DataManifest) -> Iterator[Finding]:
    """Looks at each sample of the training data, one after another."""
    patterns = tuple(each.lower() for each in rules.forbidden_repositories)
    opt_out = policy.opt_out

    @lru_cache(maxsize=100_000)
    def is_forbidden(repository: str) -> bool:
        return any(_any(patterns, name) for name in repository_names(repository))

    repositories: dict[str, int] = {}
    contents = 0
    example = ""
    for number in range(len(data.sources)):
        for entry in data.kept(number):
            if patterns and entry.repository is not None and is_forbidden(entry.repository):
                name = entry.repository if len(repositories) < 100 else ""
                repositories[name] = repositories.get(name, 0) + 1
            if opt_out is not None and opt_out.match(entry.swhid, entry.commit, entry.repository):
                contents += 1
                example = example or entry.path
    if repositories:
        first = _shown(next(iter(repositories)))
        files = sum(repositories.values())
        what = f"{_samples(files)} of forbidden repositories, such as {first}."
        yield refused(policy, "data.forbidden_repositories", what, _TRAIN)
    elif patterns:
        yield passed("data.forbidden_repositories", "No forbidden repository is in the training data.")
    if contents:
        what = f"{_samples(contents)} opted out, such as {_shown(example)}."
        yield refused(policy, "data.opt_out", what, _TRAIN)
    elif opt_out is not None:
        yield passed("data.opt_out", "Nothing on the opt-out list is in the training data.")


def _samples(count: int) -> str:
    return f"{human_count(count, 'samples')} of the training data {'is' if count == 1 else 'are'}"


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return any(matches(each, text) for each in patterns)


def _shown(text: str) -> str:
    return shortened(visible(text), 200)
