"""What a session on a service works with: objective, settings of a lesson, and another teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine import EngineFailure, Reply
from . import asking
from .connection import host_of
from .lesson import HostedSettings

if TYPE_CHECKING:
    import tinker

    from ...protocol import Load, Objective
    from .reader import Reader


def objective(reader: Reader, request: Load) -> Objective:
    """The objective that was asked for, or the best that the service supports."""
    abilities, asked = reader.abilities, request.objective
    best = abilities.top_k and abilities.wide_targets
    if asked in ("forward_kl", "reverse_kl", "jsd") and not best:
        raise EngineFailure(
            "unavailable",
            f"This service cannot train on several targets a token, which {asked} needs: choose "
            "objective=importance_sampling.",
        )
    if asked in ("reverse_kl", "jsd") and not abilities.custom_loss:
        raise EngineFailure(
            "unavailable",
            "This service does not give a loss that is computed here the right gradient, and "
            f"{asked} is one: choose objective=forward_kl.",
        )
    return asked or ("forward_kl" if best else "importance_sampling")


def settings(reader: Reader, request: Load) -> HostedSettings:
    """The settings of a lesson: those that were asked for, and this engine's own."""
    given = {
        "learning_rate": request.learning_rate,
        "kl_coef": request.kl_coef,
        "kl_budget": request.kl_budget,
        "max_steps": request.max_steps,
    }
    return HostedSettings(
        objective=objective(reader, request),
        alpha=0.5 if request.jsd_alpha is None else request.jsd_alpha,
        top_k=request.top_k or reader.abilities.top_k,
        **{name: value for name, value in given.items() if value is not None},
    )


def other_teacher(reader: Reader, request: Load, reply: Reply) -> tinker.SamplingClient | None:
    """A teacher with weights of its own, if one was asked for."""
    if not request.teacher_model and not request.teacher_checkpoint:
        return None
    if request.teacher_model:
        theirs = asking.load_tokenizer(request.teacher_model, reply)
        asking.require_same_tokenizer(reader.loaded.tokenizer, theirs)
    client = reader.connection.client
    assert client is not None
    return reader.connection.wait(
        "Opening the teacher",
        lambda: client.create_sampling_client(
            model_path=request.teacher_checkpoint, base_model=request.teacher_model
        ),
        reply,
        reader.connection.limits.connect,
    )


def about_the_server(reader: Reader, request: Load) -> dict[str, str]:
    """What the service can do and which teacher is in use, in a few words each."""
    abilities = reader.abilities
    teacher = request.teacher_model or request.teacher_checkpoint or request.teacher or "before"
    return {
        "server": host_of(reader.connection.base_url),
        "teacher": teacher,
        "likeliest tokens told": str(abilities.top_k) if abilities.top_k else "none",
        "scores the answer alone": "yes" if abilities.last_n else "no",
        "several targets a token": "yes" if abilities.wide_targets else "no",
    }
