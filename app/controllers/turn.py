"""The agent's loop: sample a turn, put its call to the user, run it or learn from it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from ...training.client import WorkerDied
from ...training.protocol import (
    Completion,
    Event,
    Lesson,
    Outcome,
    ProgressEvent,
    TokenEvent,
    ToolCall,
)
from ..agent.conversation import Conversation
from ..agent.difference import describe_edit
from ..agent.parser import parse_turn
from ..agent.proposal import Approve, Decision, Deny, Edit, Proposal, fingerprint
from ..events import (
    AgentEvent,
    CallRejected,
    EngineWaiting,
    Notice,
    ProposalDecided,
    ProposalMade,
    TokenArrived,
    ToolFinished,
    ToolOutput,
    TurnDropped,
    TurnFinished,
    TurnSampled,
    TurnStarted,
    UserSaid,
)
from ..tools import registry
from ..tools.base import Preview, ToolResult
from ..workspace.workspace import Workspace
from .approval import ApprovalController
from .engine import EngineController, EngineError
from .lesson import LessonController
from .secrets import SecretsController

T = TypeVar("T")

_log = logging.getLogger(__name__)

LessonKind = Literal["deny", "edit"]

CALL_LIMIT = 50
PROBLEM_LIMIT = 3
STOPPED = "You stopped it."
CHANGED = "{} changed since the call was shown; it did not run and is shown again as it is now."
NOT_SHOWN = "the call is no longer the one that was shown, so it was not run; propose it again"
UNLEARNED: frozenset[Outcome] = frozenset({"gated", "in_context_only", "rolled_back"})


def carried(text: str) -> str:
    """The text without what no wire can carry: lone surrogates, from bytes that are not UTF-8."""
    return text.strip().encode("utf-8", "replace").decode()


class Interrupted(Exception):
    """The user stopped what was under way."""


class Finished(Exception):
    """The request cannot go on; the sentence says why, ``failed`` that the engine did."""

    def __init__(self, reason: str, *, failed: bool = False) -> None:
        super().__init__(reason)
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Ports:
    """What a turn needs from outside: to be shown, to be decided, to be kept on disk."""

    present: Callable[[AgentEvent], None]
    decide: Callable[[Proposal], Awaitable[Decision]]
    keep: Callable[[], None]
    around: Callable[[ToolCall, int], AbstractAsyncContextManager[None]]
    secrets: SecretsController


class TurnController:
    """Runs one request at a time, from the user's words to the model's last ones."""

    def __init__(
        self,
        *,
        engine: EngineController,
        lessons: LessonController,
        approval: ApprovalController,
        conversation: Conversation,
        workspace: Workspace,
        tools: registry.Tools,
        ports: Ports,
    ) -> None:
        self.conversation = conversation
        self._engine = engine
        self._lessons = lessons
        self._approval = approval
        self._workspace = workspace
        self._present = ports.present
        self._decide = ports.decide
        self._keep = ports.keep
        self._around = ports.around
        self._secrets = ports.secrets
        self._tools = tools
        loaded = engine.loaded
        self._schemas = registry.schemas(whole=bool(loaded and loaded.engine != "practice"))
        self._stopped = False
        self._waiting: set[asyncio.Task[Any]] = set()
        self._retry: Completion | None = None
        self._corrected = False
        self._unlearned: Lesson | None = None
        self._proposals = 0

    # --- what can be asked --------------------------------------------------------------

    async def run(self, text: str) -> None:
        """Answer the user's request; ends with `TurnFinished`, whatever happens."""
        self._stopped = False
        self._retry = None
        self._corrected = False
        self._unlearned = None
        self.conversation.add_request(text)
        self._present(UserSaid(text))
        self._keep()
        end = TurnFinished()
        try:
            await self._go_on()
        except Interrupted:
            end = TurnFinished(STOPPED)
        except Finished as finished:
            end = TurnFinished(str(finished), failed=finished.failed)
        self._keep()
        self._present(end)

    def interrupt(self) -> None:
        """Stop the waiting proposal and the tool, and go no further."""
        self._stopped = True
        self._secrets.stop()
        for task in self._waiting:
            task.cancel()

    # --- the loop -----------------------------------------------------------------------

    async def _go_on(self) -> None:
        calls = problems = 0
        while True:
            completion, retry = await self._next_completion()
            self._check()
            await self._secrets.decide(completion.text, "The model's answer")
            self._check()
            turn = parse_turn(completion.text)
            self._present(TurnSampled(self._secrets.scrub(turn.text), completion))
            if turn.problem:
                problems += 1
                self._reject(completion, turn.problem, problems)
                continue
            if turn.call is None:
                self.conversation.add_turn(self._secrets.scrub(turn.text))
                return
            call = registry.coerce(turn.call)
            problem = registry.validate(call) or self._secrets.problem_with(call)
            if problem is not None:
                problems += 1
                self._reject(completion, problem, problems)
                continue
            problems = 0
            calls += 1
            if calls > CALL_LIMIT:
                raise Finished(f"The model made {CALL_LIMIT} calls for one request; ask again.")
            await self._settle(await self._propose(turn.text, call, completion, retry))

    def _check(self) -> None:
        if self._stopped:
            raise Interrupted

    def _reject(self, completion: Completion, problem: str, count: int) -> None:
        self._present(CallRejected(problem))
        if count >= PROBLEM_LIMIT:
            raise Finished(
                f"The model wrote {count} calls in a row that cannot be understood; "
                "say it in other words."
            )
        self.conversation.reject(self._secrets.scrub(completion.text), problem)
        self._keep()

    # --- sampling -----------------------------------------------------------------------

    async def _next_completion(self) -> tuple[Completion, bool]:
        """Take the proved retry of a lesson, or sample a turn."""
        if self._retry is not None:
            completion, self._retry = self._retry, None
            return completion, True
        corrected, self._corrected = self._corrected, False
        return await self._sample(retry=corrected), corrected

    async def _sample(self, *, retry: bool) -> Completion:
        while True:
            self._check()
            self._present(TurnStarted(retry))
            try:
                completion = await self._engine.sample(
                    self.conversation.messages(), self._schemas, self._show_sampling
                )
            except EngineError as error:
                self._present(TurnDropped())
                self._after_refusal(error)
            except WorkerDied as error:
                self._present(TurnDropped())
                await self._after_death(error)
            else:
                if completion.stop_reason == "cancelled":
                    self._present(TurnDropped())
                    raise Interrupted
                return completion

    def _show_sampling(self, event: Event) -> None:
        if isinstance(event, TokenEvent):
            self._present(TokenArrived(event.text))
        elif isinstance(event, ProgressEvent):
            self._present(EngineWaiting(event.message))

    def _after_refusal(self, error: EngineError) -> None:
        """Trim a conversation that has become too long; any other refusal ends the request."""
        self._check()
        if error.code == "cancelled":
            raise Interrupted
        if error.code == "context_too_long" and self.conversation.trim():
            self._present(
                Notice("The conversation is too long for the model; its oldest part was left out.")
            )
            return
        raise Finished(error.message, failed=True)

    async def _after_death(self, error: WorkerDied) -> None:
        if not self._stopped:
            self._present(Notice(f"{str(error).rstrip('.')}; starting another.", "warning"))
        try:
            await self._engine.restart()
        except (EngineError, WorkerDied) as failure:
            raise Finished(str(failure), failed=True) from None
        self._check()

    # --- the proposal -------------------------------------------------------------------

    async def _propose(
        self, text: str, call: ToolCall, completion: Completion, retry: bool
    ) -> tuple[Proposal, Decision]:
        """Show the call and wait until somebody has decided."""
        self._proposals += 1
        proposal = Proposal(
            number=self._proposals,
            call=call,
            preview=await asyncio.to_thread(registry.preview, call, self._workspace, self._tools),
            completion=completion,
            messages=self.conversation.messages(),
            text=text,
            retry=retry,
        )
        rule = self._approval.rule_for(call, proposal.preview.terms)
        if rule is not None or not retry:
            # Only a retry that the user approves says what would have been right.
            self._unlearned = None
        self._present(ProposalMade(proposal, rule))
        decision: Decision = Approve()
        if rule is None:
            proposal, decision = await self._ask(proposal)
            await self._ask_about_secrets(decision)
        self._present(ProposalDecided(proposal, decision, rule))
        return proposal, decision

    async def _ask_about_secrets(self, decision: Decision) -> None:
        """What the user wrote is kept and learned from, and so are the notes with a correction."""
        match decision:
            case Deny(correction=correction):
                await self._secrets.decide(correction, "Your correction")
            case Edit(arguments=arguments):
                await self._secrets.decide(json.dumps(dict(arguments)), "Your edit")
            case Approve():
                return
        for note in self.conversation.notes:
            await self._secrets.decide(note, "Your note")

    async def _ask(self, proposal: Proposal) -> tuple[Proposal, Decision]:
        """Ask until the decision can be followed, and about the files as they are by then."""
        while True:
            self._check()
            decision = await self._interruptible(_await(self._decide(proposal)))
            problem = self.problem_with(proposal, decision)
            if problem is None and isinstance(decision, Approve) and _as_shown(proposal, decision):
                now = await self._interruptible(
                    asyncio.to_thread(registry.preview, proposal.call, self._workspace, self._tools)
                )
                if now != proposal.preview:
                    proposal = replace(proposal, preview=now)
                    problem = CHANGED.format(now.path or "What the call is about")
                    self._present(ProposalMade(proposal, None))
            if problem is None:
                return proposal, decision
            self._present(Notice(problem, "warning"))

    @staticmethod
    def problem_with(proposal: Proposal, decision: Decision) -> str | None:
        """Say what is wrong with a decision; the proposal then stays as it is."""
        if isinstance(decision, Deny) and not decision.correction.strip():
            return "The correction is empty; say what the model should do instead."
        if isinstance(decision, Edit):
            edited = _edited(proposal, decision)
            if edited.arguments == proposal.call.arguments:
                return "The arguments are as they were; approve the call, or change one."
            return registry.validate(edited)
        return None

    async def _settle(self, decided: tuple[Proposal, Decision]) -> None:
        proposal, decision = decided
        match decision:
            case Approve(always=always, for_good=for_good, shown=shown):
                if always and _as_shown(proposal, decision):
                    terms = proposal.preview.terms
                    self._tell(self._approval.allow(proposal.call, for_good=for_good, terms=terms))
                await self._run(proposal, shown or proposal.sha256)
            case Deny(correction=correction):
                self._tell(self._approval.deny(proposal.call))
                await self._learn_from_denial(proposal, self._secrets.scrub(carried(correction)))
            case Edit(shown=preview):
                await self._learn_from_edit(proposal, _edited(proposal, decision), preview)
        self._keep()
        self._check()

    def _tell(self, problem: str | None) -> None:
        if problem is not None:
            self._present(Notice(problem, "warning"))

    # --- running ------------------------------------------------------------------------

    async def _run(self, proposal: Proposal, approved: str) -> None:
        """Run an approved call and put it and its answer into the conversation.

        Where it is the retry of a denial that the correction alone did not teach, the worker
        learns meanwhile with the approved call as the solution.
        """
        self._approval.ran(proposal.call)
        self._add_turn(proposal)
        self._keep()
        running = self._execute(proposal, proposal.call, proposal.preview, approved)
        lesson, self._unlearned = self._unlearned, None
        if lesson is None:
            result = await running
        else:
            shown = lesson.model_copy(update={"solution": proposal.call})
            result, _ = await asyncio.gather(running, self._lessons.learn(shown, show_retry=False))
        self.conversation.add_answer(result.output)

    def _add_turn(self, proposal: Proposal) -> None:
        """Put the model's turn into the conversation, as it may be kept."""
        call = self._secrets.scrub_call(proposal.call)
        self.conversation.add_turn(self._secrets.scrub(proposal.text), call)

    async def _execute(
        self, proposal: Proposal, call: ToolCall, shown: Preview, approved: str
    ) -> ToolResult:
        """Run a call between two snapshots of the files, if it is the one that was approved."""
        running = fingerprint(call, shown)
        if running != approved:
            _log.error("not run: %s of call %d was not shown", running, proposal.number)
            self._present(Notice(f"The call was not run: {NOT_SHOWN}.", "error"))
            result = ToolResult(ok=False, output=f"error: {NOT_SHOWN}")
            self._present(ToolFinished(proposal, result, 0.0))
            return result
        _log.info("run: call %d, %s, sha256 %s", proposal.number, call.name, running)
        async with self._around(call, self.conversation.count):
            result, seconds = await self._run_tool(call, shown)
            open_question = bool(self._secrets.undecided(result.output))
            if not open_question:
                result = self._finish(proposal, result, seconds)
        if open_question:  # the files are looked at before the user is asked
            await self._secrets.decide(result.output, f"The output of {call.name}")
            result = self._finish(proposal, result, seconds)
        return result

    def _finish(self, proposal: Proposal, result: ToolResult, seconds: float) -> ToolResult:
        """Show what a call came to, and give it as it may be kept."""
        result = replace(result, output=self._secrets.scrub(result.output))
        self._present(ToolFinished(proposal, result, seconds))
        return result

    async def _run_tool(self, call: ToolCall, shown: Preview) -> tuple[ToolResult, float]:
        """Run a call; also how long it took."""
        began = time.monotonic()
        running = registry.run(
            call, self._workspace, lambda text: self._present(ToolOutput(text)), shown, self._tools
        )
        try:
            result = await self._interruptible(running)
        except Interrupted:
            result = ToolResult(ok=False, output="error: the user stopped the call")
        except Exception as error:
            # A fault in a tool must not cost the conversation; the model is told, as of any error.
            _log.exception("the tool %s failed", call.name)
            result = ToolResult(ok=False, output=f"error: the tool failed ({error!r})")
        return result, time.monotonic() - began

    async def _interruptible(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await something that `interrupt` may cancel."""
        task = asyncio.ensure_future(coroutine)
        self._waiting.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self._stopped and task.cancelled():
                raise Interrupted from None
            raise
        finally:
            self._waiting.discard(task)

    # --- learning -----------------------------------------------------------------------

    async def _learn_from_denial(self, proposal: Proposal, correction: str) -> None:
        """Learn, then go on with the proved retry, or with the correction in the conversation."""
        lesson = self._lesson(proposal, "deny", correction)
        result = await self._lessons.learn(lesson, show_retry=True)
        self._corrected = True
        if result.outcome == "learned":
            self._retry = result.retry
            return
        if result.outcome in UNLEARNED and self._engine.cannot_train() is None:
            self._unlearned = lesson
        self._add_turn(proposal)
        self.conversation.deny(correction)

    async def _learn_from_edit(
        self, proposal: Proposal, call: ToolCall, shown: Preview | None
    ) -> None:
        """Run the edited call while the worker learns the difference."""
        self._unlearned = None
        correction = self._secrets.scrub(describe_edit(proposal.call.arguments, call.arguments))
        self._add_turn(proposal)
        lesson = self._lesson(proposal, "edit", correction, call)
        if shown is None:
            shown = await asyncio.to_thread(registry.preview, call, self._workspace, self._tools)
        executed, _ = await asyncio.gather(
            self._execute(proposal, call, shown, fingerprint(call, shown)),
            self._lessons.learn(lesson, show_retry=False),
        )
        self._approval.ran(call)
        self.conversation.edit(self._secrets.scrub_call(call), executed.output)

    def _lesson(
        self,
        proposal: Proposal,
        kind: LessonKind,
        correction: str,
        solution: ToolCall | None = None,
    ) -> Lesson:
        problem = proposal.preview.problem
        return Lesson(
            id=uuid.uuid4().hex,
            kind=kind,
            messages=proposal.messages,
            tools=self._schemas,
            completion=proposal.completion,
            correction=correction,
            notes=self.conversation.take_notes(),
            solution=solution,
            tool_output=f"error: {problem}" if problem else None,
            siblings=self.conversation.siblings(),
        )


def _as_shown(proposal: Proposal, decision: Approve) -> bool:
    """Whether a proposal is still what the user saw; otherwise it does not run."""
    return fingerprint(proposal.call, proposal.preview) == (decision.shown or proposal.sha256)


def _edited(proposal: Proposal, decision: Edit) -> ToolCall:
    """The proposed call with the user's arguments."""
    return registry.coerce(ToolCall(name=proposal.call.name, arguments=dict(decision.arguments)))


async def _await(decision: Awaitable[Decision]) -> Decision:
    return await decision
