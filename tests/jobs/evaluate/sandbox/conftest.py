"""The sandboxes that every attack is tried on."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.sandbox.bubblewrap import Bubblewrap
from starfreight.jobs.evaluate.sandbox.interface import Limits, Sandbox
from starfreight.jobs.evaluate.sandbox.landlock import Landlock

LIMITS = Limits(memory=256 << 20, cpu=5, processes=8, disk=8 << 20)
KINDS: dict[str, Callable[[Limits], Sandbox]] = {"bubblewrap": Bubblewrap, "landlock": Landlock}
CHOSEN = os.environ.get("STARFREIGHT_SANDBOXES", " ".join(KINDS)).split()
"""Set where only some can work, e.g. in a container: all of these must."""


@pytest.fixture(scope="session", params=CHOSEN)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """A sandbox that works on this machine."""
    try:
        found = KINDS[request.param](LIMITS)
        boxes = found.boxes("def main():\n    send_message(b'ready')\n")
        try:
            boxes.start().close()
        finally:
            boxes.close()
    except ServiceError as error:
        # CI can install bubblewrap, but no newer kernel.
        installable = os.environ.get("CI") == "true" and request.param == "bubblewrap"
        if "STARFREIGHT_SANDBOXES" in os.environ or installable:
            raise
        pytest.skip(str(error))
    return found
