"""What the controllers say, put into the conversation, the learning panel and the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...training.protocol import Outcome, TokenReport
from ...widgets.conversation import Conversation
from ...widgets.prompt import Prompt
from ...widgets.stages import LessonStages, Tone
from .. import events as said
from ..agent.proposal import Deny
from ..call_words import cost_of, outcome_of, told_model
from ..store.display import LessonShown
from .learning import LearningPanel, token_cells

if TYPE_CHECKING:
    from .chat import ChatScreen

CALL_START = "<tool_call>"
IMPORTED_WITHIN = 60.0
"""Seconds for a pause in which to import what draws the curves; after them it is done anyway."""
TONES: dict[Outcome, Tone] = {
    "learned": "success",
    "in_context_only": "warning",
    "gated": "plain",
    "rolled_back": "warning",
    "failed": "error",
}


class Transcript:
    """Shows one event after another; holds nothing but the turn that streams."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._raw = ""
        self._shown = 0
        self._streamed = False
        self._without_tokens: list[str] = []

    @property
    def _conversation(self) -> Conversation:
        return self._screen.query_one(Conversation)

    @property
    def _stages(self) -> LessonStages:
        return self._screen.query_one(LessonStages)

    def present(self, event: said.AgentEvent) -> None:
        """Show an event."""
        match event:
            case said.TurnStarted() | said.TokenArrived() | said.TurnDropped() | said.TurnSampled():
                self._turn(event)
            case said.LessonStarted() | said.LessonStage() | said.LessonStep():
                self._lesson_goes_on(event)
            case said.LessonFinished():
                self._lesson_ends(event)
            case said.ProposalMade() | said.ProposalDecided():
                self._proposal(event)
            case said.ToolOutput(text=text):
                self._streamed = True
                self._conversation.add_output(text)
            case said.ToolFinished():
                self._tool_finished(event)
            case (
                said.SandboxTried() | said.EngineLoading() | said.EngineReady()
                | said.EngineFailed()
            ):  # fmt: skip
                self._engine(event)
            case said.EngineWaiting(message=message):
                self._screen.set_detail(message)
            case said.UserSaid(text=text):
                self._conversation.add_user(text)
            case said.SuiteProgress() | said.LessonsChecked() | said.AtRest() | said.TurnFinished():
                self._rest(event)
            case said.Notice() | said.CallRejected():
                self._notice(event)
            case said.ConversationReplaced() | said.ContextCounted() | said.AdapterMoved():
                self._replaced(event)

    def _notice(self, event: said.Notice | said.CallRejected) -> None:
        match event:
            case said.Notice(text=text, severity=severity):
                self._conversation.add_notice(text, severity)
            case said.CallRejected(problem=problem):
                self._conversation.add_notice(told_model(problem), "warning")

    def _replaced(
        self, event: said.ConversationReplaced | said.ContextCounted | said.AdapterMoved
    ) -> None:
        match event:
            case said.AdapterMoved():
                # What the last lesson did may be true no more; ctrl+t shows it again.
                self._screen.query_one(LearningPanel).hide()
            case said.ConversationReplaced():
                self._replace(event)
            case said.ContextCounted(tokens=tokens):
                self._screen.note_context(tokens)

    def _replace(self, event: said.ConversationReplaced) -> None:
        """Show another conversation, as it looked."""
        from .replay import as_entries

        lessons = [each.lesson for each in event.records if isinstance(each, LessonShown)]
        self._without_tokens = lessons if self._screen.session.loaded is None else []
        self._conversation.load(as_entries(event.records, self._tokens()))
        self._screen.query_one(LearningPanel).hide()
        prompt = self._screen.query_one(Prompt)
        if event.draft:
            prompt.text = event.draft
        prompt.focus()

    def fill_heatmaps(self) -> None:
        """Give the resumed lessons their tokens, which the journal has once the model is known."""
        lessons, self._without_tokens = self._without_tokens, []
        tokens = self._tokens()
        self._conversation.give_tokens(token_cells(tokens.get(each, ())) for each in lessons)

    def _tokens(self) -> dict[str, tuple[TokenReport, ...]]:
        lessons = self._screen.session.lessons()
        return {each.lesson.id: each.result.tokens for each in lessons if each.result}

    def _rest(
        self,
        event: said.SuiteProgress | said.LessonsChecked | said.AtRest | said.TurnFinished,
    ) -> None:
        match event:
            case said.SuiteProgress(message=message):
                self._screen.set_phase("learning", message)
            case said.AtRest():
                self._screen.note_adapter()
                self._screen.set_phase("ready")
            case said.TurnFinished(reason=reason):
                self._screen.set_phase("ready")
                if reason:
                    self._conversation.add_notice(reason, "warning")
            case said.LessonsChecked():
                pass

    # --- the model's turn -------------------------------------------------------------

    def _turn(
        self,
        event: said.TurnStarted | said.TokenArrived | said.TurnDropped | said.TurnSampled,
    ) -> None:
        match event:
            case said.TurnStarted(retry=retry):
                self._raw, self._shown = "", 0
                self._screen.set_phase("thinking", "trying again" if retry else "")
                self._conversation.begin_assistant()
            case said.TokenArrived(text=text):
                self._raw += text
                prose = prose_of(self._raw)
                if len(prose) > self._shown:
                    self._conversation.append_assistant(prose[self._shown :])
                    self._shown = len(prose)
                elif CALL_START in self._raw:
                    self._screen.set_phase("thinking", "writing a call")
            case said.TurnDropped():
                self._conversation.drop_assistant()
            case said.TurnSampled(text=text, completion=completion):
                self._conversation.end_assistant(text)
                self._screen.note_context(completion.prompt_tokens + len(completion.tokens))

    # --- calls ------------------------------------------------------------------------

    def _proposal(self, event: said.ProposalMade | said.ProposalDecided) -> None:
        match event:
            case said.ProposalMade(rule=None):
                self._screen.set_phase("waiting", "your decision")
            case said.ProposalDecided(proposal=proposal, decision=decision, rule=rule):
                outcome, detail = outcome_of(proposal, decision, rule)
                self._conversation.add_call(
                    proposal.call.name, proposal.preview.title, outcome, detail
                )
                self._streamed = False
                if not isinstance(decision, Deny):
                    self._screen.set_phase("running", proposal.call.name)
            case _:
                pass

    def _tool_finished(self, event: said.ToolFinished) -> None:
        if not self._streamed:
            self._conversation.add_output(event.result.output)
        self._conversation.end_call(event.result.ok, event.seconds)
        self._screen.note_tool(event.result)

    # --- lessons ----------------------------------------------------------------------

    def _lesson_goes_on(
        self, event: said.LessonStarted | said.LessonStage | said.LessonStep
    ) -> None:
        match event:
            case said.LessonStarted(attempt=attempt):
                panel = self._screen.query_one(LearningPanel)
                panel.begin()
                self._screen.lull.put_off(panel.prepare, within=IMPORTED_WITHIN)
                self._stages.start()
                if attempt > 1:
                    self._conversation.add_notice(
                        "The worker ended; a new one does the lesson again.", "warning"
                    )
                self._screen.set_phase("learning")
            case said.LessonStage(stage=stage, detail=detail, elapsed=elapsed):
                self._stages.enter(stage, detail, elapsed)
                self._screen.set_phase("learning", stage)
            case said.LessonStep():
                self._screen.note_steps()

    def _lesson_ends(self, event: said.LessonFinished) -> None:
        result = event.result
        self._stages.finish(result.reason, TONES[result.outcome], result.seconds)
        panel = self._screen.query_one(LearningPanel)
        panel.finish(result)
        self._screen.note_lessons()
        if result.steps:
            self._screen.note_steps()  # now the curves have the mark of this lesson too
        # The next call comes now too; heatmap and curves are dear to paint and can wait.
        self._screen.lull.put_off(panel.show_evidence)
        self._screen.lull.put_off(panel.show_curves)
        self._conversation.add_lesson(
            result.outcome,
            result.reason,
            correction=event.lesson.correction,
            figures=cost_of(result),
            tokens=token_cells(result.tokens),
        )

    # --- the engine -------------------------------------------------------------------

    def _engine(
        self,
        event: said.SandboxTried | said.EngineLoading | said.EngineReady | said.EngineFailed,
    ) -> None:
        match event:
            case said.SandboxTried(gate=gate):
                self._screen.gate = gate.kind
            case said.EngineLoading(message=message, fraction=fraction):
                part = "" if fraction is None else f" {fraction:.0%}"
                self._screen.set_phase("loading", f"{message}{part}")
            case said.EngineReady():
                self._screen.note_loaded()
            case said.EngineFailed(message=message):
                self._screen.set_phase("failed", "no engine")
                self._conversation.add_notice(message, "error")


def prose_of(raw: str) -> str:
    """The words of a turn that streams, without its call or the beginning of one."""
    prose, found, _ = raw.partition(CALL_START)
    if found:
        return prose.rstrip()
    for length in range(len(CALL_START) - 1, 0, -1):
        if raw.endswith(CALL_START[:length]):
            return raw[:-length]
    return raw
