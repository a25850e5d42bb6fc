"""The endpoints of the service, apart from HTTP: requests done at once, futures always ready."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import torch
from tinker.proto import tinker_public_pb2 as pb

from . import messages
from .faults import Faults
from .hosted import BadDatum, Hosted, Trained

Json = dict[str, Any]


class Refused(Exception):
    """A request that is answered with a status and a reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Features:
    """What this server can do; a test may take any of it away."""

    topk_prompt_logprobs: bool = True
    last_n: bool = True
    wide_targets: bool = True
    resume_with_optimizer: bool = True
    mean_reduction: bool = False
    any_model_name: bool = False
    hands_out: bool = True
    mends_weights: bool = False
    tells_context: bool = True
    narrow_answers: bool = False


@dataclass
class Books:
    """Everything that the service remembers."""

    models: dict[str, Trained] = field(default_factory=dict)
    samplers: dict[str, Trained | None] = field(default_factory=dict)
    states: dict[str, Trained] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    futures: dict[str, bytes | Json] = field(default_factory=dict)
    done: dict[tuple[str, int], str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, Json]] = field(default_factory=list)
    sessions: int = 0


class Service:
    """The endpoints, apart from HTTP."""

    def __init__(self, hosted: Hosted, name: str, features: Features) -> None:
        self.hosted = hosted
        self.name = name
        self.features = features
        self.books = Books()
        self.faults = Faults()
        self.queue: tuple[str, str] | None = None
        self.hosted_name: str | None = None
        self.endpoints: dict[str, Callable[[Any], Json]] = {
            "client/config": lambda _: {},
            "client/dynamic_config": lambda _: {},
            "create_session": self.create_session,
            "session_heartbeat": lambda _: {"type": "session_heartbeat"},
            "telemetry": lambda _: {"status": "accepted"},
            "create_model": self.create_model,
            "get_info": self.get_info,
            "create_sampling_session": self.create_sampling_session,
            "asample": self.sample,
            "forward_backward": self.forward_backward,
            "optim_step": self.optim_step,
            "save_weights": self.save_weights,
            "save_weights_for_sampler": self.save_weights_for_sampler,
            "load_weights": self.load_weights,
            "save_weights_external": self.save_weights_external,
            "weights_info": self.weights_info,
            "cancel_future": lambda _: {},
        }

    def forget(self) -> None:
        """Know nothing any more of what was made but was not saved, as after a restart."""
        self.books.models.clear()
        self.books.samplers.clear()
        self.books.futures.clear()

    # --- answers ----------------------------------------------------------------------

    def _later(self, kind: str, answer: bytes | Json) -> Json:
        number = f"{len(self.books.futures) + 1}"
        self.books.futures[number] = answer
        self.books.kinds[number] = kind
        return {"request_id": number}

    def _once(self, body: Json, kind: str, do: Callable[[], bytes | Json]) -> Json:
        """Do a numbered training request once, however often it comes."""
        key = (body["model_id"], body["seq_id"])
        if key not in self.books.done:
            self.books.done[key] = self._later(kind, do())["request_id"]
        return {"request_id": self.books.done[key]}

    def _model(self, body: Json) -> Trained:
        try:
            return self.books.models[body["model_id"]]
        except KeyError:
            raise Refused(404, f"no model {body['model_id']}") from None

    def _require_name(self, name: str | None) -> None:
        if name != self.name and not self.features.any_model_name:
            raise Refused(400, f"unknown base model {name}; supported: {self.name}")

    # --- endpoints --------------------------------------------------------------------

    def create_session(self, _: Json) -> Json:
        self.books.sessions += 1
        return {"type": "create_session", "session_id": f"s{self.books.sessions}"}

    def capabilities(self) -> Json:
        one: Json = {"model_name": self.name}
        if self.features.tells_context:
            one["max_context_length"] = self.hosted.context
        return {"supported_models": [{**one, "trainable": True, "sampleable": True}]}

    def create_model(self, body: Json) -> Json:
        self._require_name(body.get("base_model"))
        config = body.get("lora_config") or {}
        number = f"{body['session_id']}:train:{body['model_seq_id']}"
        self.books.models[number] = self.hosted.create(config.get("rank", 32), config.get("seed"))
        return self._later("create_model", {"type": "create_model", "model_id": number})

    def get_info(self, body: Json) -> Json:
        model = self._model(body)
        return {
            "type": "get_info",
            "model_id": body["model_id"],
            "model_data": {"model_name": self.name, "arch": "loopback"},
            "is_lora": True,
            "lora_rank": model.rank,
        }

    def create_sampling_session(self, body: Json) -> Json:
        number = f"{body['session_id']}:sample:{body['sampling_session_seq_id']}"
        path = body.get("model_path")
        if path is None:
            self._require_name(body.get("base_model"))
            self.books.samplers[number] = None
        elif path in self.books.states:
            self.books.samplers[number] = self.books.states[path]
        else:
            raise Refused(404, f"no weights at {path}")
        return {"type": "create_sampling_session", "sampling_session_id": number}

    def sampler(self, number: str) -> Json:
        if number not in self.books.samplers:
            raise Refused(404, "no such sampling session")
        return {"sampler_id": number, "base_model": self.name, "model_path": None}

    def sample(self, body: Json) -> Json:
        sampler = self.books.samplers.get(body["sampling_session_id"], KeyError)
        if sampler is KeyError:
            raise Refused(404, "no such sampling session")
        prompt = [token for chunk in body["prompt"]["chunks"] for token in chunk["tokens"]]
        answer = pb.SampleResponse()
        ids: list[str] = []
        try:
            parameters = dict(body["sampling_params"])
            for at in range(body.get("num_samples", 1)):
                if parameters.get("seed") is not None and at:
                    parameters["seed"] += 1
                tokens, logprobs, ended = self.hosted.sample(sampler, prompt, parameters)
                reason = pb.STOP_REASON_STOP if ended else pb.STOP_REASON_LENGTH
                answer.sequences.add(
                    stop_reason=reason,
                    tokens=messages.ints(tokens),
                    logprobs=messages.floats(logprobs),
                )
                ids.append(f"{len(self.books.futures) + 1}-{at}")
            if body.get("prompt_logprobs"):
                self._score(sampler, prompt, body, answer)
        except BadDatum as error:
            raise Refused(400, str(error)) from None
        return {
            **self._later("asample", answer.SerializeToString()),
            "sample_sequence_ids": ids,
        }

    @torch.no_grad()
    def _score(
        self, sampler: Trained | None, prompt: list[int], body: Json, answer: pb.SampleResponse
    ) -> None:
        rows = self.hosted.logprobs(sampler, prompt)[:-1]
        chosen = rows.gather(-1, torch.tensor(prompt[1:])[:, None])[:, 0].tolist()
        known = body.get("prompt_logprobs_last_n") if self.features.last_n else None
        hidden = 1 + (len(chosen) - known if known else 0)
        answer.prompt_logprobs = messages.floats(
            [math.nan] * hidden + [float(one) for one in chosen[hidden - 1 :]]
        )
        if body.get("topk_prompt_logprobs"):
            if not self.features.topk_prompt_logprobs:
                raise Refused(400, "topk_prompt_logprobs is not supported")
            found = messages.topk(rows, body["topk_prompt_logprobs"])
            answer.topk_prompt_logprobs.CopyFrom(found)

    def forward_backward(self, message: pb.ForwardBackwardRequest) -> Json:
        body = {"model_id": message.model_id, "seq_id": message.seq_id}
        trained = self._model(body)
        data = [messages.read_datum(one) for one in message.data]
        if not self.features.wide_targets and any(
            datum.inputs["target_tokens"].ndim == 2 for datum in data
        ):
            raise Refused(400, "target_tokens has to be one-dimensional")
        config = {name: value.number for name, value in message.loss_fn_config_v2.items()}

        if self.features.mends_weights:
            for datum in data:
                weights = datum.inputs.get("weights")
                if weights is not None:
                    datum.inputs["weights"] = weights / weights.sum().clamp(min=1e-9)

        def run() -> bytes:
            outputs, loss = self.hosted.forward_backward(
                trained, data, message.loss_fn, config, forward_only=message.forward_only
            )
            if self.features.mean_reduction and not message.forward_only:
                tokens = sum(len(datum.tokens) for datum in data)
                trained.gradient = {n: g / tokens for n, g in trained.gradient.items()}
            if self.features.narrow_answers:
                outputs = [each.reshape(len(each), -1)[:, 0] for each in outputs]
            return messages.forward_backward_output(outputs, {"loss:sum": loss})

        try:
            return self._once(body, "forward_backward", run)
        except (BadDatum, KeyError) as error:
            raise Refused(400, f"bad datum: {error}") from None

    def optim_step(self, body: Json) -> Json:
        trained = self._model(body)

        def run() -> Json:
            metrics = self.hosted.optim_step(trained, body["adam_params"])
            return {"type": "optim_step", "metrics": metrics}

        return self._once(body, "optim_step", run)

    def save_weights(self, body: Json) -> Json:
        path = f"tinker://{body['model_id']}/weights/{body['path']}"
        self.books.states[path] = self._model(body).copy()
        return self._later("save_weights", {"type": "save_weights", "path": path})

    def save_weights_for_sampler(self, body: Json) -> Json:
        kept = self._model(body).copy()
        if body.get("path"):
            path = f"tinker://{body['model_id']}/sampler_weights/{body['path']}"
            self.books.states[path] = kept
            return self._later("save_weights_for_sampler", {"path": path})
        number = f"{body['model_id']}:sample:{body.get('sampling_session_seq_id')}"
        self.books.samplers[number] = kept
        return self._later(
            "save_weights_for_sampler",
            {"type": "save_weights_for_sampler", "sampling_session_id": number},
        )

    def load_weights(self, body: Json) -> Json:
        if body["path"] not in self.books.states:
            raise Refused(404, f"no weights at {body['path']}")
        if body.get("optimizer") and not self.features.resume_with_optimizer:
            raise Refused(422, "create-via-load is not supported")
        number = body.get("model_id") or f"{body['session_id']}:train:{body['model_seq_id']}"
        self.books.models[number] = self.books.states[body["path"]].copy()
        answer = {"type": "load_weights", "path": body["path"], "model_id": number}
        return self._later("load_weights", answer)

    def save_weights_external(self, body: Json) -> Json:
        if not self.features.hands_out:
            raise Refused(404, "no such endpoint")
        run, name = body["model_id"], body["path"]
        self.books.files[f"{run}/{name}"] = self.hosted.as_peft(self._model(body))
        path = f"tinker://{run}/external_weights/{name}"
        return self._later("save_weights_external", {"path": path, "type": "save_weights_external"})

    def external_urls(self, run: str, name: str, base: str) -> Json:
        found = self.books.files[f"{run}/{name}"]
        if self.hosted_name is not None:
            found = {self.hosted_name: b""}
        urls = {file: f"{base}/files/{quote(run)}/{name}/{file}" for file in found}
        return {"urls": urls, "expires": "2100-01-01T00:00:00Z"}

    def weights_info(self, body: Json) -> Json:
        path = body.get("tinker_path")
        if path not in self.books.states:
            raise Refused(404, f"no weights at {path}")
        rank = self.books.states[path].rank
        return {"base_model": self.name, "is_lora": True, "lora_rank": rank}

    def retrieve(self, body: Json) -> bytes | Json:
        if self.queue is not None:
            state, reason = self.queue
            time.sleep(0.05)
            return {"type": "try_again", "queue_state": state, "queue_state_reason": reason}
        try:
            return self.books.futures[body["request_id"]]
        except KeyError:
            raise Refused(404, "no such future") from None


def nowhere(_: object) -> Json:
    """What is answered at an address that there is not."""
    raise Refused(404, "no such endpoint")
