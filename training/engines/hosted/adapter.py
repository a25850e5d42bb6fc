"""The adapter as it lies on the service: stepped, published for sampling, saved and restored."""

from __future__ import annotations

import dataclasses
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...engine import EngineFailure, Reply
from ...stepper import NonFinite
from .connection import Connection
from .recipes import Step
from .words import root

if TYPE_CHECKING:
    import tinker


@dataclass(frozen=True)
class StepReport:
    """The summed loss of a step, and its gradient's norm; not a number where it is not told.

    ``finite`` says that what was told of both was.
    """

    loss: float
    grad_norm: float
    finite: bool


class HostedAdapter:
    """One training client, which is thrown away as soon as its state is in doubt."""

    def __init__(self, connection: Connection, model: str, rank: int, seed: int) -> None:
        self.connection = connection
        self.model = model
        self.rank = rank
        self.seed = seed
        self.certain = False
        self._client: tinker.TrainingClient | None = None

    # --- where it comes from ----------------------------------------------------------

    def restore(self, saved: str | None, recipe: Sequence[Step], reply: Reply) -> None:
        """Go to a saved state, or to a fresh adapter, and take these steps from there.

        Raises ``EngineFailure``; then the adapter's state is in doubt until it is restored.
        """
        self.certain = False
        self._client = self._from_state(saved, reply) if saved else self._fresh(reply)
        for number, step in enumerate(recipe, 1):
            reply.progress(f"Taking step {number} of {len(recipe)} again")
            if not self._take(step, reply).finite:
                raise EngineFailure(
                    "bad_adapter",
                    f"Step {number} of {len(recipe)} was not finite when it was taken again: undo "
                    "to an earlier snapshot.",
                )
        self.certain = True

    def _fresh(self, reply: Reply) -> tinker.TrainingClient:
        return self.connection.wait(
            "Making an adapter",
            lambda: self._service.create_lora_training_client(
                self.model, rank=self.rank, seed=self.seed, train_unembed=False
            ),
            reply,
            self.connection.limits.create,
        )

    def _from_state(self, saved: str, reply: Reply) -> tinker.TrainingClient:
        import tinker

        limit = self.connection.limits.create
        try:
            return self.connection.wait(
                "Restoring the adapter",
                lambda: self._service.create_training_client_from_state_with_optimizer(
                    saved, base_model=self.model
                ),
                reply,
                limit,
            )
        except EngineFailure as failure:
            if not isinstance(root(failure), tinker.UnprocessableEntityError):
                raise
        # Servers of SDK 0.24 load into an adapter that was made before.
        client = self._fresh(reply)
        self.connection.wait(
            "Restoring the adapter",
            lambda: client.load_state_with_optimizer(saved),
            reply,
            limit,
        )
        return client

    @property
    def _service(self) -> tinker.ServiceClient:
        if self.connection.client is None:
            raise EngineFailure("not_loaded", "There is no connection: load a model first.")
        return self.connection.client

    @property
    def client(self) -> tinker.TrainingClient:
        """The training client; fails where there is none whose state is known."""
        if self._client is None:
            raise EngineFailure("not_loaded", "There is no adapter yet: load a model first.")
        return self._client

    # --- steps ------------------------------------------------------------------------

    def step(self, step: Step, reply: Reply) -> StepReport:
        """Take one step; when it fails, or is not finite, the state is in doubt.

        Raises ``EngineFailure`` or ``NonFinite``.
        """
        self.certain = False
        report = self._take(step, reply)
        if not report.finite:
            raise NonFinite
        self.certain = True
        return report

    def _take(self, step: Step, reply: Reply) -> StepReport:
        data = [example.datum() for example in step.examples]
        client, limit = self.client, self.connection.limits.train
        began: list[Any] = []

        def begin() -> Any:
            # Both are sent before either is awaited, as the service works them off in order.
            if step.loss == "divergence":
                began.append(client.forward_backward_custom(data, step.divergence))
            else:
                began.append(client.forward_backward(data, step.loss, step.config))
            began.append(client.optim_step(step.adam()))
            return began[0]

        output = self.connection.wait("Reading the gradient", begin, reply, limit)
        moved = self.connection.wait("Stepping", lambda: began[1], reply, limit)
        told = output.metrics.get("loss:sum")
        loss = step.loss_of(output.loss_fn_outputs) if told is None else float(told)
        norm = _norm_in(moved.metrics or {})
        return StepReport(
            loss=loss,
            grad_norm=math.nan if norm is None else norm,
            finite=math.isfinite(loss) and (norm is None or math.isfinite(norm)),
        )

    def gradient_norm(self, step: Step, reply: Reply) -> float:
        """The norm of a step's gradient, by a step of no length; the state is then in doubt."""
        self.certain = False
        return self._take(dataclasses.replace(step, learning_rate=0.0), reply).grad_norm

    # --- what it can be asked ---------------------------------------------------------

    def publish(self, reply: Reply) -> tinker.SamplingClient:
        """A sampling client with the weights as they are now; later steps do not reach it."""
        return self.connection.wait(
            "Publishing the weights",
            self.client.save_weights_and_get_sampling_client,
            reply,
            self.connection.limits.save,
        )

    def save(self, name: str, reply: Reply) -> str:
        """Save weights and optimiser on the service; returns the path."""
        unique = f"{name}-{uuid.uuid4().hex[:8]}"
        return self.connection.wait(
            "Saving the state",
            lambda: self.client.save_state(unique),
            reply,
            self.connection.limits.save,
        ).path

    def hand_out(self, name: str, seconds: int, reply: Reply) -> str:
        """Let the service write the adapter as files that can be fetched; returns their path."""
        return self.connection.wait(
            "Asking for the adapter",
            lambda: self.client.save_weights_external(name, ttl_seconds=seconds),
            reply,
            self.connection.limits.save,
        ).path


def _norm_in(metrics: Mapping[str, float]) -> float | None:
    """The gradient's norm by whatever name a server gives it; None where it is not told."""
    for name, value in metrics.items():
        if name.split("/")[-1].split(":")[0] == "grad_norm":
            return float(value)
    return None
