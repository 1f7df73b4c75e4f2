"""The bill of an image's materials."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from starfreight.cli import main
from starfreight.errors import InputError
from starfreight.image import BuiltImage, remember_image
from starfreight.images.contents import DebianPackage, ImageContents, PythonPackage, read_contents
from starfreight.images.sbom import make_sbom, render_sbom

pytestmark = pytest.mark.usefixtures("own_state")

CONTENTS = ImageContents(
    created="2026-01-02T03:04:05Z",
    system=("debian", "12"),
    python=(PythonPackage("numpy", "2.4.6", "BSD-3-Clause AND MIT"), PythonPackage("oras", "1", "LICENSE")),
    debian=(DebianPackage("libc6", "1:2.36-9+deb12u13", "amd64", "glibc"),),
)
IMAGE = BuiltImage(
    version=1, name="trainer", reference="x:1", id="sha256:" + "1" * 64, platform="linux/amd64"
)


def by_name(bill: bytes) -> dict[str, Any]:
    return {component["name"]: component for component in json.loads(bill)["components"]}


def test_python_packages_are_listed_with_version_and_license(engine: Any, small_image: BuiltImage) -> None:
    found = by_name(make_sbom(engine, small_image))
    assert found["expressed"]["purl"] == "pkg:pypi/expressed@1.0%2Blocal"
    assert found["expressed"]["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    assert found["named-in-words"]["licenses"] == [{"license": {"name": "Public Domain"}}]
    assert found["classified"]["licenses"] == [{"license": {"name": "BSD License"}}]
    assert "licenses" not in found["unlicensed"]


def test_debian_packages_are_those_that_dpkg_lists(engine: Any, small_image: BuiltImage) -> None:
    command = ["dpkg-query", "-W", "-f", "${binary:Package} ${Version} ${Architecture}\\n"]
    said = engine.containers.run(small_image.id, command, remove=True, network_mode="none").decode()
    wanted = sorted(
        (line.split(" ")[0].partition(":")[0], *line.split(" ")[1:]) for line in said.splitlines()
    )
    found = read_contents(engine, small_image.id)
    assert [(each.name, each.version, each.architecture) for each in found.debian] == wanted
    assert found.system == ("debian", "12")


def test_a_bill_is_valid_and_made_again_to_the_byte(engine: Any, small_image: BuiltImage) -> None:
    bill = make_sbom(engine, small_image)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
    renamed = small_image.model_copy(update={"reference": "other:name", "revision": "0" * 40})
    assert make_sbom(engine, renamed) == bill
    assert json.loads(bill)["metadata"]["timestamp"] == "2026-01-02T03:04:05+00:00"


def test_bills_of_two_images_have_two_serial_numbers() -> None:
    other = IMAGE.model_copy(update={"id": "sha256:" + "2" * 64})
    serials = {json.loads(render_sbom(image, CONTENTS))["serialNumber"] for image in (IMAGE, other)}
    assert len(serials) == 2


def test_a_debian_package_is_named_as_scanners_look_for_it() -> None:
    bill = render_sbom(IMAGE, CONTENTS)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
    found = by_name(bill)
    wanted = "pkg:deb/debian/libc6@1:2.36-9%2Bdeb12u13?arch=amd64&distro=debian-12&upstream=glibc"
    assert found["libc6"]["purl"] == wanted
    assert (found["debian"]["type"], found["debian"]["version"]) == ("operating-system", "12")


def test_looking_into_an_image_leaves_no_container(engine: Any, small_image: BuiltImage) -> None:
    make_sbom(engine, small_image)
    assert not engine.containers.list(all=True, filters={"ancestor": small_image.id})


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo no list", "is invalid"),
        ("echo '[1]'", "is invalid"),
        ("""echo '[["name", 2, null, null, []]]'""", "is invalid"),
        ("echo it broke >&2; exit 3", "exit code 3: it broke"),
        ("head -c 80000000 /dev/zero", "too long"),
        ("if touch /tmp/x 2>/dev/null; then echo '[]'; else exit 4; fi", "exit code 4"),
        ('if [ "$(ls /sys/class/net)" = lo ]; then exit 5; fi', "exit code 5"),
    ],
)
def test_an_image_whose_python_is_none_is_refused_and_can_write_and_reach_nothing(
    program: str, said: str, engine: Any, make_image: Callable[..., BuiltImage]
) -> None:
    image = make_image({"usr/local/bin/python": f"#!/bin/sh\n{program}\n".encode()})
    with pytest.raises(InputError, match=said):
        make_sbom(engine, image)
    assert not engine.containers.list(all=True, filters={"ancestor": image.id})


def test_an_image_without_python_is_refused(engine: Any, make_image: Callable[..., BuiltImage]) -> None:
    image = make_image({"usr/local/share/nothing": b""})
    with pytest.raises(InputError, match="Python is missing"):
        make_sbom(engine, image)


@pytest.mark.parametrize("status", [b"Package: x/../y\n", b"Package: sound-name\n"])
def test_a_list_of_debian_packages_that_is_none_is_refused(
    status: bytes, engine: Any, make_image: Callable[..., BuiltImage]
) -> None:
    entry = status + b"Status: install ok installed\nArchitecture: all\n"
    entry += b"Version: 1\n" if b"/" in status else b""
    image = make_image({"var/lib/dpkg/status": entry}, {"usr/local/bin/python": "/usr/bin/python3"})
    with pytest.raises(InputError, match="/var/lib/dpkg/status"):
        make_sbom(engine, image)


def test_the_command_prints_the_bill_or_writes_it(
    engine: Any, small_image: BuiltImage, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    remember_image(small_image)
    bill = make_sbom(engine, small_image)
    assert main(["images", "sbom", "trainer"]) == 0
    assert capfd.readouterr().out.encode() == bill
    assert main(["images", "sbom", "trainer", "--output", str(tmp_path / "bill.json")]) == 0
    assert (tmp_path / "bill.json").read_bytes() == bill
