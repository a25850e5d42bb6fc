"""The progress of the worker as lines for standard error, the same for every command."""

from __future__ import annotations

from .events import (
    AgentEvent,
    EngineLoading,
    EngineReady,
    EngineWaiting,
    LessonStage,
    LessonStep,
    Notice,
    SuiteProgress,
)


def progress_words(event: AgentEvent) -> str | None:
    """One line about the event, or None where it is no progress."""
    match event:
        case EngineLoading(message=message, fraction=fraction):
            return message if fraction is None else f"{message} {fraction:.0%}"
        case EngineReady(loaded=loaded):
            return f"{loaded.model_name} is ready on {loaded.device}"
        case LessonStage(stage=stage, detail=detail):
            return f"  {stage} {detail}".rstrip()
        case LessonStep(metrics=metrics):
            return f"  step {metrics.step}: loss {metrics.loss:.4g}, KL {metrics.kl:.4g}"
        case EngineWaiting(message=message) | SuiteProgress(message=message) | Notice(text=message):
            return message
        case _:
            return None
