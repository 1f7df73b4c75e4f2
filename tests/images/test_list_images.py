"""Dates of the images built on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from starfreight.image import BuiltImage, remember_image
from starfreight.images.list_images import ListedImage, list_images

RECORDED = "2026-05-06T07:08:09Z"


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuiltImage:
    """An image whose record was written at a known time."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    built = BuiltImage(
        version=1, name="trainer", reference="acme/trainer:1", id="sha256:" + "1" * 64, platform="linux/amd64"
    )  # fmt: skip
    os.utime(remember_image(built), (1778051289, 1778051289))
    return built


def look(**attributes: Any) -> ListedImage:
    """The image in an engine that describes it with these attributes."""
    found = SimpleNamespace(
        labels={}, attrs={"Created": "2025-01-02T03:04:05.678Z", "Size": 1000} | attributes
    )
    engine: Any = SimpleNamespace(images=SimpleNamespace(get=lambda name: found))
    (listed,) = list_images(engine)
    return listed


def test_without_an_engine_the_date_is_that_of_the_record(image: BuiltImage) -> None:
    (listed,) = list_images(None)
    assert listed.built == listed.as_dict()["built"] == RECORDED
    assert f"built {RECORDED}, no engine answers" in listed.as_text()


@pytest.mark.parametrize(
    ("tagged", "built"),
    [
        ("2026-07-08T11:10:11.123456789+02:00", "2026-07-08T09:10:11Z"),
        ("2026-07-08T09:10:11Z", "2026-07-08T09:10:11Z"),
        ("0001-01-01T00:00:00Z", RECORDED),
        ("yesterday", RECORDED),
        (None, RECORDED),
    ],
)
def test_the_date_of_the_build_is_the_engines_and_not_that_of_the_commit(
    image: BuiltImage, tagged: str | None, built: str
) -> None:
    listed = look(Metadata={"LastTagTime": tagged})
    assert (listed.built, listed.created) == (built, "2025-01-02T03:04:05Z")
    assert f"built {built}, 1.0 kB, of the sources of 2025-01-02T03:04:05Z" in listed.as_text()


def test_an_engine_without_a_date_leaves_that_of_the_record(image: BuiltImage) -> None:
    assert look().built == RECORDED
