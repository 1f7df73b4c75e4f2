from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError, RecipeError, ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.connect import connect

TOKEN = "eyJhbGciOi-a-token-that-nobody-may-see"


class TestKubeconfig:
    @pytest.mark.parametrize(
        "text", [None, "", "- 1\n- 2\n", "{not yaml", "current-context: x\ncontexts: 3\n", "\x00"]
    )
    def test_one_that_cannot_be_used_is_named(
        self, api: Any, said: Any, tmp_path: Path, text: str | None
    ) -> None:
        path = tmp_path / "kubeconfig"
        path.unlink()
        if text is not None:
            path.write_text(text)
        with pytest.raises(InputError) as error:
            connect(said)
        assert "kubeconfig" in error.value.what
        assert "KUBECONFIG" in str(error.value)

    def test_a_context_that_is_not_there_is_answered_with_those_that_are(self, api: Any, said: Any) -> None:
        with pytest.raises(InputError) as error:
            connect(said, context="prod")
        assert "'prod'" in error.value.what
        assert error.value.fix == "choose one of: test"

    def test_the_namespace_is_that_of_the_option_then_of_the_context(self, api: Any, said: Any) -> None:
        assert connect(said).namespace == "research"
        assert connect(said, namespace="other").namespace == "other"


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "reason", "message", "kind", "words"),
        [
            (401, "Unauthorized", "Unauthorized", ServiceError, "rejects your credentials"),
            (
                403, "Forbidden",
                'jobs.batch is forbidden: User "eve" cannot list resource "jobs" in API group "batch"',
                ServiceError, "may not read jobs in the namespace research",
            ),
            (
                403, "Forbidden",
                'pods "x" is forbidden: exceeded quota: starfreight, requested: count/jobs.batch=1',
                ServiceError, "quota is used up",
            ),
            (
                403, "Forbidden", "unable to create new content because it is being terminated",
                ServiceError, "is being deleted",
            ),
            (403, "Forbidden", "denied by policy no-gpus", ServiceError, "denied by policy no-gpus"),
            (404, "NotFound", 'namespaces "research" not found', InputError, "research does not exist"),
            (
                422, "Invalid", "spec.template.spec.containers: Required value",
                RecipeError, "spec.template.spec.containers: Required value",
            ),
            (500, "InternalError", "etcd is on fire", ServiceError, "etcd is on fire"),
        ],
    )  # fmt: skip
    def test_says_what_the_server_says(
        self, api: Any, cluster: Cluster, reply: Any, failure: Any, code: int, reason: str, message: str,
        kind: type[StarfreightError], words: str,
    ) -> None:  # fmt: skip
        api.before = lambda asked: reply(code, failure(code, reason, message))
        with pytest.raises(kind) as error:
            cluster.get(cluster.jobs())
        assert words in error.value.what
        assert error.value.where
        assert error.value.fix

    def test_no_token_gets_into_a_message(self, api: Any, cluster: Cluster, reply: Any, failure: Any) -> None:
        echoed = failure(403, "Forbidden", f"bad header Bearer {TOKEN} of {TOKEN}\x1b[31m")
        api.before = lambda asked: reply(403, echoed)
        with pytest.raises(ServiceError) as error:
            cluster.get(cluster.jobs())
        assert TOKEN not in str(error.value)
        assert "\x1b" not in str(error.value)
        assert "***" in str(error.value)

    def test_a_login_page_is_no_api_server(self, api: Any, cluster: Cluster, reply: Any) -> None:
        api.before = lambda asked: reply(200, b"<html>Please log in</html>")
        with pytest.raises(ServiceError, match="not a Kubernetes API server"):
            cluster.get(cluster.jobs())


class TestServerThatIsAway:
    def test_comes_back_in_time(self, api: Any, said: Any) -> None:
        cluster = connect(said, patience=20)
        api.stop()
        back = threading.Timer(2.5, api.start)
        back.start()
        assert cluster.version() == "v1.34.2"
        assert said.notes == ["The API server does not answer; retrying."]

    def test_stays_away(self, api: Any, cluster: Cluster) -> None:
        api.stop()
        began = time.monotonic()
        with pytest.raises(ServiceError) as error:
            cluster.version()
        assert time.monotonic() - began < 20
        assert "does not answer" in error.value.what
        assert "Connection refused" in error.value.what
        assert f"127.0.0.1:{api.port}" in str(error.value.where)

    def test_says_503_for_a_moment(self, api: Any, cluster: Cluster, reply: Any) -> None:
        api.before = lambda asked: reply(503, b"starting") if len(api.asked) < 3 else None
        assert cluster.version() == "v1.34.2"

    def test_a_creation_whose_answer_was_lost_is_not_made_twice(
        self, api: Any, cluster: Cluster, reply: Any
    ) -> None:
        def lose_the_first_answer(asked: Any) -> Any:
            if asked.method == "POST" and len(api.written("POST")) == 1:
                api.answer(asked)
                return reply(pieces=[], cut=True)
            return None

        api.before = lose_the_first_answer
        body = {"metadata": {"name": "a"}, "data": {}}
        # It cannot be told whose it is, so it counts as there already; the caller looks at it.
        with pytest.raises(ServiceError, match="does not answer"):
            cluster.create(cluster.core("configmaps"), body)
        assert cluster.create(cluster.core("configmaps"), body) is None


class TestClock:
    def test_ages_go_by_the_servers_clock(self, api: Any, cluster: Cluster) -> None:
        api.date = "Thu, 01 Jan 2026 12:00:00 GMT"
        cluster.version()
        assert abs(cluster.now().timestamp() - 1767268800) < 5


class TestWarnings:
    def test_what_the_server_warns_of_is_said_once(
        self, api: Any, cluster: Cluster, reply: Any, said: Any
    ) -> None:
        warning = {"Warning": '299 - "batch/v1beta1 is deprecated"'}
        api.before = lambda asked: reply(200, {"gitVersion": "v1.34.0"}, headers=warning)
        cluster.version()
        cluster.version()
        assert said.notes == ["The API server warns: batch/v1beta1 is deprecated"]


def test_the_token_is_sent_and_the_answer_is_plain_json(api: Any, cluster: Cluster) -> None:
    made = api.job("a", spec={"fieldOfTheFuture": 1})
    assert cluster.find(cluster.jobs("a")) == json.loads(json.dumps(made))
    assert cluster.find(cluster.jobs("b")) is None


def test_a_certificate_that_is_not_accepted_is_not_waited_for(api: Any, said: Any, tmp_path: Path) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=127.0.0.1",
        "-days",
        "1",
    ]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with (
        socket.create_server(("127.0.0.1", 0)) as plain,
        context.wrap_socket(plain, server_side=True) as server,
    ):

        def refuse() -> None:
            with contextlib.suppress(OSError):
                server.accept()

        threading.Thread(target=refuse, daemon=True).start()
        path = tmp_path / "kubeconfig"
        settings = json.loads(path.read_text())
        settings["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{server.getsockname()[1]}"
        path.write_text(json.dumps(settings))
        with pytest.raises(ServiceError, match="certificate is not trusted") as error:
            connect(said, patience=60).version()
    assert said.notes == []
    assert "certificate-authority" in str(error.value.fix)
