"""Ollama's API for generation, over a real llama.cpp server.

    with OllamaGeneration("acme-coder:latest", address, key, template, parameters) as server:
        OllamaModel(server.url, None, "acme-coder")

A replay of Ollama 0.33 (``server/routes.go``): ``/api/version``, ``/api/tags``, ``/api/show`` and a streamed
``/api/generate`` with ``raw``, ``suffix`` and ``options``, rendered with our port of its templates.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from starfreight.gguf.loopback import Loopback
from starfreight.ollama_template.template import OllamaTemplate


class OllamaGeneration(ThreadingHTTPServer):
    """A running server. ``asked`` lists the bodies of requests, ``headers`` their headers."""

    daemon_threads = True

    def __init__(
        self,
        name: str,
        llama: Loopback,
        template: str,
        parameters: dict[str, list[Any]],
        digest: str = "a" * 64,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name, self.llama, self.template, self.parameters = name, llama, template, parameters
        self.digest = digest
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *arguments: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: OllamaGeneration
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = json.loads(body) if body else {}
        server = self.server
        server.asked.append(data)
        server.headers.append(dict(self.headers))
        known = data.get("model") in (server.name, server.name.removesuffix(":latest"))
        match self.path:
            case "/api/version":
                self._answer(200, {"version": "0.33.0"})
            case "/api/tags":
                model = {"name": server.name, "model": server.name, "digest": server.digest}
                self._answer(200, {"models": [model]})
            case "/api/show" | "/api/generate" if not known:
                self._answer(404, {"error": f"model '{data.get('model')}' not found"})
            case "/api/show":
                lines = [
                    f"{name:30} {json.dumps(value) if isinstance(value, str) else value}"
                    for name, values in server.parameters.items()
                    for value in values
                ]
                inserts = OllamaTemplate(server.template).inserts
                self._answer(
                    200,
                    {
                        "template": server.template,
                        "parameters": "\n".join(lines),
                        "capabilities": ["completion", *(["insert"] if inserts else [])],
                        "model_info": {"starcoder2.context_length": 1024},
                    },
                )
            case "/api/generate":
                self._generate(data)
            case _:
                self._answer(404, None)

    def _generate(self, data: dict[str, Any]) -> None:
        template, options = OllamaTemplate(self.server.template), data.get("options", {})
        if data.get("suffix") and not template.inserts:
            self._answer(400, {"error": f"{self.server.name} does not support insert"})
            return
        if data.get("raw"):
            prompt = data["prompt"]
        elif data.get("suffix"):
            prompt = template.insert(data["prompt"], data["suffix"])
        else:
            prompt = template.chat([("user", data["prompt"])])
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        request = {
            "prompt": prompt,
            "n_predict": options.get("num_predict", 128),
            "temperature": options.get("temperature", 0.8),
            "seed": options.get("seed", 0),
            "stop": options.get("stop", self.server.parameters.get("stop", [])),
            "stream": True,
            "cache_prompt": False,
        }
        for event in self.server.llama.events("/completion", request):
            line: dict[str, Any] = {"model": self.server.name, "response": event.get("content", "")}
            line["done"] = bool(event.get("stop"))
            if line["done"]:
                line["done_reason"] = "length" if event.get("stop_type") == "limit" else "stop"
                line["eval_count"] = event["tokens_predicted"]
                line["prompt_eval_count"] = event["tokens_evaluated"]
            self.wfile.write(json.dumps(line).encode() + b"\n")
            self.wfile.flush()

    def _answer(self, status: int, data: object) -> None:
        body = b"" if data is None else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _serve
