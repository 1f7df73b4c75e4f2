"""``starfreight images list``: what was built here, with an engine and without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.image import BuiltImage, images_folder, remember_image

pytestmark = pytest.mark.usefixtures("own_state")

PUSHED = "registry.example.org/team/trainer@sha256:" + "1" * 64


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["images", "list", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_an_image_is_listed_with_what_the_engine_knows_of_it(
    engine: Any, small_image: BuiltImage, capsys: pytest.CaptureFixture[str]
) -> None:
    remember_image(small_image.model_copy(update={"pushed": PUSHED}))
    found = listed(capsys)
    (image,) = found["images"]
    assert found["engine"] is True
    assert (image["reference"], image["id"]) == (small_image.reference, small_image.id)
    assert (image["pushed"], image["present"]) == (PUSHED, True)
    assert image["size"] == engine.images.get(small_image.id).attrs["Size"]
    assert image["created"] == "2026-01-02T03:04:05Z"
    assert main(["images", "list"]) == 0
    said = capsys.readouterr().out
    for part in (small_image.reference, small_image.id, PUSHED, "2026-01-02T03:04:05Z"):
        assert part in said


def test_an_image_that_was_deleted_is_said_to_be_gone(
    engine: Any, make_image: Callable[..., BuiltImage], capsys: pytest.CaptureFixture[str]
) -> None:
    image = make_image({"usr/local/share/gone": b""})
    remember_image(image)
    engine.images.remove(image.id, force=True)
    (found,) = listed(capsys)["images"]
    assert (found["present"], found["size"]) == (False, None)


def test_without_an_engine_the_list_says_so_and_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    image = BuiltImage(
        version=1, name="trainer", reference="starfreight/trainer:9", id="sha256:" + "1" * 64,
        platform="linux/amd64",
    )  # fmt: skip
    remember_image(image)
    assert main(["images", "list"]) == 0
    said = capsys.readouterr()
    assert "No Docker Engine is running" in said.err
    assert "starfreight/trainer:9" in said.out and "not pushed" in said.out
    found = listed(capsys)
    assert found["engine"] is False
    assert found["images"][0]["present"] is None


def test_an_empty_list_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "list"]) == 0
    assert "starfreight images build" in capsys.readouterr().out


def test_a_record_that_is_none_is_refused_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    images_folder().mkdir(parents=True)
    (images_folder() / "trainer.json").write_text("{}")
    assert main(["images", "list"]) == 2
    assert "trainer.json" in capsys.readouterr().err
