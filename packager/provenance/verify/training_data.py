"""The findings about a package's training data, and about its inputs that the statement names."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.packager.provenance.verify.interface import Examined, Finding


class TrainingDataCheck:
    """The data manifest by its digest in the statement, and the licenses of its samples.

    A manifest that differs from the statement, or a list that differs from the manifest, is found before:
    the package's parts contradict each other.
    """

    name = "training data"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Check.findings`."""
        provenance = examined.provenance
        if provenance is None:
            yield Finding("noted", "The statement makes no claims about training data.")
            return
        digest = provenance.data_manifest
        if examined.data is None:
            kept_out = provenance.recipe.package.data_manifest == "digest"
            reason = (
                "its recipe keeps it out"
                if kept_out
                else "it was built or its data recorded by an earlier version"
            )
            yield Finding(
                "noted",
                f"The package is without its data manifest: {reason}. The statement names it by its digest.",
                data={"manifest": digest},
            )
            return
        used = sum(each.train.samples + each.held_out.samples for each in examined.data.sources)
        counts: dict[str, int] = {}
        for source in examined.data.sources:
            for name, count in source.licenses.items():
                counts[name] = counts.get(name, 0) + count.samples
        yield Finding(
            "passed",
            f"The data manifest is the one in the statement. Sources: {len(examined.data.sources):,}; "
            f"samples used: {used:,}; licenses: {len(counts):,}.",
            data={"manifest": digest, "samples": used, "licenses": dict(sorted(counts.items()))},
        )
