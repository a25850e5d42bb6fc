"""What went wrong with a service, in one sentence with the way out."""

from __future__ import annotations

import os

from ...engine import EngineFailure

KEY = "TINKER_API_KEY"
UNPAID = "The account has no credit: see to its billing in the service's console."
OLDER = (
    "The server speaks an older version of the protocol than this program, that of SDK 0.38: "
    "upgrade the server."
)
LONGEST_DETAIL = 200
SIGNS_OF_OLDER = ("sample_sequence_ids", "only supports as proto", "Extra inputs are not permitted")
SIGNS_OF_LENGTH = ("longer than", "context length", "maximum context", "too many tokens")
SIGNS_OF_GONE = ("not loaded", "not found", "no such", "no model", "unknown", "expired", "finished")
TOO_MANY = "Maximum number of LoRA"


def in_words(error: BaseException, what: str) -> EngineFailure:
    """A failure of the SDK in one sentence with the way out."""
    import tinker

    error = root(error)
    detail = _detail(error)
    if any(sign in detail for sign in SIGNS_OF_OLDER):
        return EngineFailure("unavailable", OLDER)
    match error:
        case tinker.AuthenticationError():
            message = f"The service rejected the key: check {KEY}."
        case tinker.PermissionDeniedError():
            message = f"The key may not do this ({detail}): ask the account's owner."
        case tinker.BillingError():
            message = UNPAID
        case tinker.NotFoundError() | tinker.UnprocessableEntityError() | tinker.BadRequestError():
            return _refused(what, detail)
        case tinker.RateLimitError():
            message = "The service is asked too often: wait a little and try again."
        case tinker.APIConnectionError():
            message = f"{what} failed: the connection to the service was lost. Try again."
        case tinker.InternalServerError():
            message = f"{what} failed inside the service ({detail}): try again later."
        case _:
            message = f"{what} failed: {detail}"
    return EngineFailure("unavailable", message)


def _refused(what: str, detail: str) -> EngineFailure:
    """What a service says that refuses a request."""
    if any(sign in detail for sign in SIGNS_OF_LENGTH):
        return EngineFailure(
            "context_too_long",
            f"The conversation is longer than the model reads ({detail}): start a new one, or "
            "shorten this one.",
        )
    if "no longer supported" in detail:
        message = "The service no longer takes this version: upgrade continualcode-tui."
    elif TOO_MANY in detail:
        message = f"{detail}: wait five minutes for old ones to go, or allow more on the server."
    else:
        message = f"{what} was refused by the service: {detail}"
    return EngineFailure("unavailable", message)


def root(error: BaseException) -> BaseException:
    """What the service said, where the SDK stumbled over it and raised something else."""
    import tinker

    at: BaseException | None = error
    while at is not None:
        if isinstance(at, tinker.APIError):
            return at
        at = at.__cause__ or at.__context__
    return error


def is_gone(failure: EngineFailure) -> bool:
    """Whether the service knows nothing any more of the session or of what was made in it."""
    import tinker

    error = root(failure)
    if isinstance(error, tinker.APIStatusError) and error.status_code in (404, 410):
        return True
    refused = isinstance(error, tinker.APIStatusError) and error.status_code < 500
    return refused and any(sign in _detail(error) for sign in SIGNS_OF_GONE)


def _detail(error: BaseException) -> str:
    """The first line of what a service said, without the key and not too long."""
    text = _said(getattr(error, "body", None)) or str(error).strip() or type(error).__name__
    key = os.environ.get(KEY)
    if key:
        text = text.replace(key, "[key]")
    return text.splitlines()[0][:LONGEST_DETAIL]


def _said(body: object) -> str:
    """The reason in an answer's body, however the server names it."""
    if not isinstance(body, dict):
        return ""
    for name in ("detail", "message", "error_message", "error"):
        match body.get(name):
            case str() as reason if reason.strip():
                return reason.strip()
            case dict() as inner:
                return _said(inner)
            case list() as problems:
                return "; ".join(_problem(one) for one in problems)
            case _:
                continue
    return ""


def _problem(one: object) -> str:
    """One of the problems that a server found with a request."""
    if not isinstance(one, dict):
        return str(one)
    where = one.get("loc") or ("the request",)
    return f"{where[-1]}: {one.get('msg', 'refused')}"
