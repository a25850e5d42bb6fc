"""HTTP on loopback around the endpoints, with the faults that a test asks for."""

from __future__ import annotations

import argparse
import json
import math
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tinker.proto import tinker_public_pb2 as pb

from . import messages
from .faults import Fault
from .hosted import Hosted
from .service import Features, Json, Refused, Service, nowhere

KEY = "tml-loopback"
PROTO = "application/x-protobuf"


class Handler(BaseHTTPRequestHandler):
    """HTTP around the service."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body waits for the acknowledgement of the headers
    service: Service

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """What needs no body."""
        endpoint = self.path.split("?")[0].removeprefix("/api/v1/")
        answers = {
            "healthz": lambda: {"status": "ok"},
            "get_server_capabilities": self.service.capabilities,
        }
        do = answers.get(endpoint) or self._of_a_file(endpoint)
        kind = endpoint.rsplit("/", 1)[-1] if "external_weights_urls" in endpoint else endpoint
        self._serve("files" if endpoint.startswith("/files/") else kind, lambda _: do(), b"")

    def _of_a_file(self, endpoint: str) -> Callable[[], bytes | Json]:
        """What hands out an adapter: the addresses of its files, and the files."""
        parts = [unquote(part) for part in endpoint.strip("/").split("/")]
        match parts:
            case ["training_runs", run, "checkpoints", "external_weights", name, _]:
                base = f"http://{self.headers.get('Host')}"
                return lambda: self.service.external_urls(run, name, base)
            case ["samplers", number]:
                return lambda: self.service.sampler(number)
            case ["files", run, name, file]:
                return lambda: self.service.books.files[f"{run}/{name}"][file]
            case _:
                return lambda: nowhere(None)

    def do_POST(self) -> None:
        """Everything else."""
        endpoint = self.path.split("?")[0].removeprefix("/api/v1/")
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if endpoint.startswith("sessions/"):
            self._serve("finish", lambda _: {}, raw)
        elif endpoint == "retrieve_future":
            self._serve(endpoint, self.service.retrieve, raw)
        else:
            self._serve(endpoint, self.service.endpoints.get(endpoint, nowhere), raw)

    def _require_key(self, endpoint: str) -> None:
        if endpoint not in ("healthz", "files") and self.headers.get("X-API-Key") != KEY:
            raise Refused(401, "invalid api key")

    def _serve(self, endpoint: str, do: Callable[[Any], bytes | Json], raw: bytes) -> None:
        service = self.service
        kind = endpoint
        body: Any = {}
        if PROTO in (self.headers.get("Content-Type") or ""):
            body = pb.ForwardBackwardRequest.FromString(raw)
        elif raw:
            body = json.loads(raw)
        if endpoint == "retrieve_future":
            kind = f"retrieve_future/{service.books.kinds.get(body['request_id'], '')}"
        service.books.calls[kind] += 1
        fault = service.faults.take(kind) or service.faults.take(endpoint)
        if fault is not None and not self._before(fault):
            return
        try:
            self._require_key(endpoint)
            with service.hosted.lock:
                if isinstance(body, dict):
                    service.books.asked.append((kind, body))
                answer = do(body)
                if fault is not None and fault.kind == "again":
                    answer = do(body)
        except Refused as refused:
            self._send(refused.status, json.dumps({"detail": refused.detail}).encode())
            return
        self._after(fault, answer)

    def _before(self, fault: Fault) -> bool:
        """Whether the request is still to be served."""
        if fault.kind == "delay":
            time.sleep(fault.seconds)
        elif fault.kind == "status":
            self._send(fault.code, fault.body.encode())
            return False
        elif fault.kind == "malformed":
            self._send(200, b"<html>not what was asked for</html>")
            return False
        elif fault.kind == "refuse":
            self.close_connection = True
            self.connection.close()
            return False
        return True

    def _after(self, fault: Fault | None, answer: bytes | Json) -> None:
        if fault is not None and fault.kind == "lose":
            self.close_connection = True
            self.connection.close()
            return
        if isinstance(answer, bytes):
            self._send(200, spoiled(answer, fault), PROTO)
        else:
            self._send(200, json.dumps(answer).encode())

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True


def spoiled(answer: bytes, fault: Fault | None) -> bytes:
    """An answer whose log-probabilities are no numbers, or left out."""
    if fault is None or fault.kind not in ("nan", "missing", "untold"):
        return answer
    message = pb.SampleResponse.FromString(answer)
    if fault.kind == "untold":
        message.ClearField("topk_prompt_logprobs")
        return message.SerializeToString()
    for sequence in message.sequences:
        count = len(sequence.logprobs) // 4
        sequence.logprobs = b"" if fault.kind == "missing" else messages.floats([math.nan] * count)
    if message.prompt_logprobs:
        count = len(message.prompt_logprobs) // 4
        message.prompt_logprobs = messages.floats([math.nan] * count)
    return message.SerializeToString()


class Loopback:
    """A service that listens while it is open."""

    def __init__(
        self,
        hosted: Hosted,
        *,
        name: str | None = None,
        features: Features | None = None,
        port: int = 0,
    ) -> None:
        self.service = Service(hosted, name or str(hosted.folder), features or Features())
        handler = type("Bound", (Handler,), {"service": self.service})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Loopback:
        serve = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        serve.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more, and answer nobody who is connected."""
        self.service.faults.every = Fault("refuse")
        self._server.shutdown()
        self._server.server_close()


def main() -> None:
    """Serve a model's folder until stopped."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--name", help="the model's name on the wire")
    parser.add_argument("--stall", type=float, help="seconds that each endpoint stalls, once")
    given = parser.parse_args()
    loopback = Loopback(Hosted(given.folder), name=given.name, port=given.port)
    if given.stall:
        loopback.service.faults.every = Fault("delay", seconds=given.stall)
    print(loopback.url, flush=True)
    with loopback:
        threading.Event().wait()


if __name__ == "__main__":
    main()
