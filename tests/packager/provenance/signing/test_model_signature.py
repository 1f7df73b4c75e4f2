"""OpenSSF model signatures: the real verifier accepts exported directories, and refuses each changed file."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_signing
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.json_format import MessageToDict
from private_ca import PrivateCa

from starfreight.cli import main
from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.install.export import export_package
from starfreight.packager.layout import verify_layout
from starfreight.packager.provenance.signing.certificate import CertificateSigner, read_certificate
from starfreight.packager.provenance.signing.local_key import LocalKey
from starfreight.packager.provenance.signing.model_signature import MODEL_SIGNATURE, model_statement
from starfreight.packager.provenance.signing.sign_package import MoreSignatures, sign_package
from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority

PASSWORD = b"correct horse"
MORE = MoreSignatures(model_signing=True)
MakeKey = Callable[..., Any]


def verify(directory: Path, public: Path) -> None:
    config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public)
    config.verify(directory, directory / "model.sig")


@pytest.fixture
def signed(whole_package: Path, make_key: MakeKey, console: Console) -> tuple[Path, Path]:
    """A package with model signatures, and the public key."""
    pair = make_key()
    sign_package(whole_package, LocalKey.load(pair.private, PASSWORD), console, more=MORE)
    verify_layout(whole_package, console)
    return whole_package, pair.public


def test_the_statement_is_the_librarys(tmp_path: Path) -> None:
    from model_signing._hashing import hashing as digests
    from model_signing._signing.signing import Payload
    from model_signing.manifest import FileManifestItem, Manifest, SerializationType

    files = {"b.gguf": "00" * 32, "LICENSE": "11" * 32, "a.gguf": "22" * 32}
    ours = json.loads(model_statement("coder", files))
    kind = SerializationType.from_args(ours["predicate"]["serialization"])
    items = [
        FileManifestItem(path=Path(name), digest=digests.Digest("sha256", bytes.fromhex(value)))
        for name, value in files.items()
    ]
    theirs = Payload(Manifest("coder", items, kind)).statement.pb
    assert MessageToDict(theirs) == ours


def test_the_real_verifier_accepts_an_export_and_refuses_each_changed_file(
    signed: tuple[Path, Path], console: Console, tmp_path: Path
) -> None:
    package, public = signed
    alone = [[str(each.quantization)] for each in Package.load(package).variants]
    for number, variants in enumerate(([], *alone)):
        directory = tmp_path / f"export-{number}"
        written = export_package(package, directory, variants, console)
        assert "model.sig" in written.names
        verify(directory, public)
    directory = tmp_path / "export-0"
    names = sorted({path.name for path in directory.iterdir()} - {"model.sig", "Modelfile"})
    assert {"README.md", "provenance.intoto.json", "bom.cdx.json"} < set(names)
    for name in names:
        changed = Path(shutil.copytree(directory, tmp_path / "changed"))
        data = bytearray((changed / name).read_bytes())
        data[len(data) // 2] ^= 1
        (changed / name).write_bytes(data)
        with pytest.raises(ValueError, match="Hash mismatch"):
            verify(changed, public)
        (changed / name).unlink()
        with pytest.raises(ValueError, match="Missing files"):
            verify(changed, public)
        shutil.rmtree(changed)
    (directory / "more.gguf").write_bytes(b"")
    with pytest.raises(ValueError, match="Extra files"):
        verify(directory, public)


def test_another_key_is_refused(
    signed: tuple[Path, Path], make_key: MakeKey, console: Console, tmp_path: Path
) -> None:
    export_package(signed[0], tmp_path / "out", [], console)
    with pytest.raises(ValueError, match="Key mismatch"):
        verify(tmp_path / "out", make_key("other").public)


def test_a_certificate_of_a_private_ca_signs(
    package: Path, private_ca: PrivateCa, console: Console, tmp_path: Path
) -> None:
    key = LocalKey.load(private_ca.key, None)
    authority = TimestampAuthority(private_ca.timestamps)
    signer = CertificateSigner(key, read_certificate(private_ca.certificate), authority)
    first, _ = sign_package(package, signer, console, more=MORE)
    assert sign_package(package, signer, console, more=MORE) == (first, 0)
    export_package(package, tmp_path / "out", [], console)
    root = json.loads(private_ca.trusted_root.read_bytes())
    (chain,) = root["certificateAuthorities"]
    der = base64.b64decode(chain["certChain"]["certificates"][0]["rawBytes"])
    pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    (tmp_path / "root.pem").write_bytes(pem)
    config = model_signing.verifying.Config()
    config.use_certificate_verifier(certificate_chain=[tmp_path / "root.pem"])
    config.verify(tmp_path / "out", tmp_path / "out" / "model.sig")


def test_an_export_without_a_signature_that_fits_has_none(
    signed: tuple[Path, Path], console: Console, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package, _ = signed
    directory = tmp_path / "out"
    both = [str(each.quantization) for each in Package.load(package).variants]
    export_package(package, directory, both[:1], console)
    assert (directory / "model.sig").exists()
    record = Package.load(package)
    kept = [each for each in record.attachments if each.artifact_type != MODEL_SIGNATURE]
    record.model_copy(update={"attachments": tuple(kept)}).save(package)
    assert "model.sig" not in export_package(package, directory, both[:1], console).names
    assert not (directory / "model.sig").exists()


def test_the_command_adds_it_once(
    package: Path, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", PASSWORD.decode())
    pair = make_key()
    sign = ["package", "sign", str(package), "--key", str(pair.private), "--model-signing"]
    assert main(sign) == 0
    first = Package.load(package)
    assert main(sign) == 0 and Package.load(package) == first
    assert main(["package", "export", str(package), str(tmp_path / "out")]) == 0
    verify(tmp_path / "out", pair.public)
