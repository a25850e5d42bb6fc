"""The main screen: conversation, pending call, prompt and status, and the session behind them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import QueryType
from textual.widget import Widget

from ...themes.names import THEME_NAMES
from ...widgets.conversation import Conversation
from ...widgets.diff_painting import prepare_colours
from ...widgets.prompt import Prompt
from ...widgets.proposal_panel import ProposalPanel
from ...widgets.squeeze import GIVES_WAY, SqueezeVertical
from ...widgets.stages import LessonStages
from ...widgets.status_bar import StatusBar
from ..agent.proposal import Decision, Proposal
from ..calling import Caller
from ..controllers.secrets import SecretFound
from ..controllers.session import SessionController
from ..controllers.sessions import BUSY
from ..events import AgentEvent, Severity, TurnFinished
from ..lull import Lull
from ..messages import AgentSpoke
from ..opening import NEW, Opening
from ..state import ChatState, Phase
from ..tools.base import ToolResult
from . import chat_layout
from .copying import copied_text
from .desk import DecisionDesk
from .hearing import Hearing
from .learning import LearningPanel
from .outbox import Outbox
from .secret import ask_about_secret
from .selecting import SelectsWhatIsThere
from .theming import choose_theme
from .transcript import Transcript
from .welcome import EmptyPage

if TYPE_CHECKING:
    from ..settings import Settings
    from .lessons import LessonsScreen

TYPING_PAUSE = 1.0
"""Seconds without a key after which the user no longer counts as typing."""


class ChatScreen(SelectsWhatIsThere, ChatState):
    """Composes the widgets and passes what they say to the session."""

    HORIZONTAL_BREAKPOINTS = chat_layout.COLUMN_CLASSES
    VERTICAL_BREAKPOINTS = chat_layout.ROW_CLASSES
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "interrupt", "Stop what the agent does", show=False, id="chat.interrupt"),
        Binding(
            "tab",
            "switch_focus",
            "Move between the prompt and the call",
            show=False,
            id="chat.switch",
        ),
        Binding(
            "ctrl+t",
            "toggle_learning",
            "Show or hide what the last lesson did",
            show=False,
            id="chat.learning",
        ),
        Binding("pageup", "scroll_talk('page_up')", "Page up", show=False, id="chat.pageup"),
        Binding(
            "pagedown", "scroll_talk('page_down')", "Page down", show=False, id="chat.pagedown"
        ),
        Binding(
            "home,ctrl+home",
            "scroll_talk('scroll_home')",
            "The beginning of the conversation",
            show=False,
            id="chat.first",
        ),
        Binding(
            "end,ctrl+end",
            "scroll_talk('scroll_end')",
            "The latest of the conversation, and follow it",
            show=False,
            id="chat.latest",
        ),
    ]
    DEFAULT_CSS = chat_layout.CSS

    def __init__(
        self, settings: Settings, folder: Path, lull: Lull, opening: Opening = NEW
    ) -> None:
        super().__init__()
        self.lull = lull
        self.settings = settings
        self._opening = opening
        self.set_reactive(ChatState.repository, folder.name or str(folder))
        self.session = SessionController(
            settings=settings,
            folder=folder,
            present=self._hear,
            decide=self._decide,
            ask=self._ask_about,
        )
        self._transcript = Transcript(self)
        self._hearing = Hearing(self, self._pass_on)
        self._caller: Caller | None = None
        self._overview: LessonsScreen | None = None
        self._last_key = 0.0
        self._context_tokens = 0

    def compose(self) -> ComposeResult:
        """The learning panel lies beside the conversation where there is room, else below it."""
        with SqueezeVertical(id="main"):
            conversation = Conversation()
            yield conversation
            yield EmptyPage(self, conversation, self._opening)
            yield LearningPanel(classes=f"{chat_layout.GIVES_ROOM} {GIVES_WAY}")
            yield DecisionDesk(
                arm_delay=self.settings.arm_delay, typing=self._is_typing, classes=GIVES_WAY
            )
            yield Outbox(self)
        yield StatusBar().data_bind(
            state=ChatState.phase,
            detail=ChatState.detail,
            repository=ChatState.repository,
            branch=ChatState.branch,
            dirty=ChatState.dirty,
            engine=ChatState.engine,
            model=ChatState.model,
            lessons=ChatState.lessons,
            context_used=ChatState.context_used,
            losses=ChatState.losses,
            gate=ChatState.gate,
        )

    def on_mount(self) -> None:
        """Start the session after the screen is there."""
        self.query_one(Prompt).focus()
        self._caller = caller = Caller(self.app, self.settings.notify)
        self.watch(self.app, "app_focus", lambda focus: caller.rest() if focus else None)
        self._take_keymap()
        self.run_worker(
            self._start(), group="session", exit_on_error=True, description="start the session"
        )
        self.run_worker(
            self.query_one(Outbox).open(), group="outbox", exit_on_error=True,
            description="read the history",
        )  # fmt: skip

    def _take_keymap(self) -> None:
        """Use the user's keys, and say which of them cannot be used."""
        from ..keys import usable
        from ..tui import ContinualCode

        if self.settings.keymap and isinstance(self.app, ContinualCode):
            keymap, refused = usable(self.settings.keymap)
            self.app.use_keymap(keymap)
            for sentence in refused:
                self.say(sentence, "warning")

    def on_unmount(self) -> None:
        """Give the terminal its title back."""
        if self._caller is not None:
            self._caller.rest()

    async def _start(self) -> None:
        if self._opening.choose:
            self.run_worker(self._choose_session(), group="command", description="list sessions")
        self.run_worker(
            prepare_colours, thread=True, group="prepare", exit_on_error=False,
            description="import what colours code",
        )  # fmt: skip
        await self.session.start(self._opening.resume)
        for outbox in self.query(Outbox):
            outbox.begin()
        await self.refresh_repository()

    # --- the session speaks -------------------------------------------------------------

    def _hear(self, event: AgentEvent) -> None:
        if isinstance(event, TurnFinished):
            for outbox in self.query(Outbox):
                outbox.note(event)
        self._hearing.hear(event)

    def _pass_on(self, event: AgentEvent) -> None:
        self.post_message(AgentSpoke(event))

    async def on_agent_spoke(self, message: AgentSpoke) -> None:
        """Show what was said; messages come one by one, so the order stays."""
        message.stop()
        if self._caller is not None:
            self._caller.hear(message.event)
        self._transcript.present(message.event)
        self.query_one(Outbox).hear(message.event)
        if self._overview is not None and self._overview.is_attached:
            self._overview.hear(message.event)

    async def _ask_about(self, found: SecretFound) -> bool:
        before = self.phase, self.detail
        self.set_phase("waiting", "your answer")
        try:
            return await ask_about_secret(self.app, found, self.settings.arm_delay)
        finally:
            # A request goes on from here, so nothing comes to rest.
            self.set_phase(*(("thinking", "") if before[0] == "ready" else before))

    async def _decide(self, proposal: Proposal) -> Decision:
        try:
            return await self.query_one(DecisionDesk).decide(proposal, self.session.toolbox.preview)
        finally:
            # On the way out of the program there may be no prompt any more.
            for prompt in self.query(Prompt):
                prompt.focus()

    # --- the state --------------------------------------------------------------------

    def set_phase(self, phase: Phase, detail: str = "") -> None:
        """Say what the agent does now."""
        self.phase, self.detail = phase, detail
        if phase == "failed":
            self.query_one(Outbox).hold()
        if phase == "ready":
            self.query_one(Outbox).come_to_rest()
            self.run_worker(
                self.refresh_repository(), group="repository", exclusive=True,
                exit_on_error=False, description="read the repository's state",
            )  # fmt: skip

    def set_detail(self, detail: str) -> None:
        """Say what the agent waits for, in whatever it does now."""
        self.detail = detail
        stages = self.query_one(LessonStages)
        if stages.running:
            stages.detail = detail

    def note_loaded(self) -> None:
        """The engine is ready."""
        self._transcript.fill_heatmaps()
        self.note_context(self._context_tokens)
        self.note_adapter()
        self.set_phase("ready")

    def note_adapter(self) -> None:
        """Count the lessons that stand, and say beside the model whether its adapter is off."""
        self.note_lessons()
        loaded = self.session.loaded
        if loaded is None:
            return
        name = Path(loaded.model_name).name if loaded.engine == "local" else loaded.model_name
        self.engine = "" if name == loaded.engine else loaded.engine
        self.model = name if self.session.adapter_on else f"{name}, adapter off"

    def note_lessons(self) -> None:
        """Count the lessons that stand."""
        self.lessons = sum(1 for record in self.session.lessons() if record.standing == "learned")

    def note_steps(self) -> None:
        """A gradient step was taken."""
        metrics = self.session.metrics
        self.losses = tuple(record.metrics.loss for record in metrics.steps)
        self.query_one(LearningPanel).draw_curves(metrics, self.session.kl_budget)

    def note_context(self, tokens: int) -> None:
        """The newest prompt and its answer took this many tokens."""
        self._context_tokens = tokens
        loaded = self.session.loaded
        self.context_used = tokens / loaded.context_tokens if loaded and tokens else None

    def note_tool(self, result: ToolResult) -> None:
        """A call ran; its error may become part of a correction, if the user wants."""
        self.query_one(DecisionDesk).tool_error = None if result.ok else result.output

    async def refresh_repository(self) -> None:
        """Read branch and dirty state off the interface's thread."""
        from ..workspace.repository import inspect

        repository = self.session.repository
        if repository is None:
            return
        now = await asyncio.to_thread(inspect, repository.root)
        self.repository, self.branch, self.dirty = now.name, now.branch or "", now.dirty

    # --- the user speaks ----------------------------------------------------------------

    def _is_typing(self) -> bool:
        recently = asyncio.get_running_loop().time() - self._last_key < TYPING_PAUSE
        outbox = self.query_one(Outbox)
        return outbox.writing or (recently and outbox.prompt.has_focus_within)

    def on_prompt_typed(self, message: Prompt.Typed) -> None:
        """A key in the prompt keeps the keys of a call from arming."""
        message.stop()
        self.query_one(EmptyPage).written = bool(message.text.strip())
        if not message.text:
            self._last_key = 0.0
            return
        self._last_key = asyncio.get_running_loop().time()
        panel = self.query_one(DecisionDesk).panel
        if panel is not None:
            panel.note_keystroke()

    def on_screen_resume(self) -> None:
        """A key that was meant for the screen in front must not decide about a call behind it."""
        for panel in self.query(ProposalPanel):
            panel.begin_quiet_time()

    def write(self, text: str) -> None:
        """Put a text into the prompt, to be gone on with."""
        prompt = self.query_one(Prompt)
        prompt.text = text
        prompt.focus()

    async def action_interrupt(self) -> None:
        """Stop a command of the user's own, else go back to a call that waits, else stop all."""
        outbox = self.query_one(Outbox)
        if outbox.stop_command() or self.query_one(DecisionDesk).take_focus():
            return
        outbox.hold()
        await self.session.interrupt()

    async def on_proposal_panel_stop_requested(self) -> None:
        """Esc on a call decides nothing and stops the agent."""
        await self.action_interrupt()
        self.query_one(Prompt).focus()

    def action_switch_focus(self) -> None:
        """Go from the pending call to the prompt, else on to the next widget."""
        panel = self.query_one(DecisionDesk).panel
        if panel is not None and panel.has_focus:
            self.query_one(Prompt).focus()
        else:
            self.focus_next()

    def focus_next(self, selector: str | type[QueryType] = "*") -> Widget | None:
        """From the prompt a pending call comes next."""
        panel = self.query_one(DecisionDesk).panel
        if panel is None or panel.shut or not self.query_one(Prompt).has_focus_within:
            return super().focus_next(selector)
        panel.focus()
        return panel

    def action_toggle_learning(self) -> None:
        """Show or hide what the last lesson did."""
        self.query_one(LearningPanel).toggle()

    async def action_scroll_talk(self, action: str) -> None:
        """Scroll the conversation from wherever the focus is."""
        page = self.query_one(EmptyPage)
        shown = page if page.display else self.query_one(Conversation)
        await shown.run_action(action)

    # --- what commands may do -----------------------------------------------------------

    def say(self, text: str, severity: Severity = "information") -> None:
        """Put one sentence into the conversation."""
        self.query_one(Conversation).add_notice(text, severity)

    def show(self, screen: str) -> None:
        """Open a screen by name."""
        getattr(self, f"_show_{screen}")()

    def _show_help(self) -> None:
        self.app.call_later(self.app.run_action, "app.help")

    def _show_welcome(self) -> None:
        from .welcome import WelcomeScreen

        self.app.push_screen(WelcomeScreen(self.settings))

    def _show_metrics(self) -> None:
        from .metrics import MetricsScreen

        self.app.push_screen(MetricsScreen(self.session))

    def _show_settings(self) -> None:
        from .settings import SettingsScreen

        self.app.push_screen(SettingsScreen(self.settings))

    def _show_lessons(self) -> None:
        from .lessons import LessonsScreen

        self._overview = LessonsScreen(self.session)
        self.app.push_screen(self._overview, lambda _: self.note_lessons())

    def take_typed(self, text: str) -> None:
        """Put into the prompt what was typed before it was there."""
        prompt = self.query_one(Prompt)
        if text:
            prompt.text = text + prompt.text

    def _show_sessions(self) -> None:
        from .sessions import SessionsScreen

        if self.session.sessions is not None:
            self.app.push_screen(SessionsScreen(self.session.sessions))

    async def _choose_session(self) -> None:
        await self.session.opened.wait()
        self._show_sessions()

    def _show_rewind(self) -> None:
        self.run_worker(self._rewind(), group="command", description="go back")

    async def _rewind(self) -> None:
        """Ask for the request, then for what becomes of the files, then go back."""
        from .rewinding import ask

        sessions = self.session.sessions
        if sessions is None or self.session.busy:
            self.say(BUSY, "warning")
            return
        if not sessions.requests():
            self.say("There is no request to go back to.")
            return
        answer = await ask(self.app, sessions)
        if answer is not None:
            await self.session.rewind(answer.number, answer.plan, yours=answer.yours)

    def compact_conversation(self) -> None:
        """Shorten what the model sees."""
        problem = self.session.sessions.compact() if self.session.sessions else None
        if problem is not None:
            self.say(problem, "warning")

    async def clear_conversation(self) -> None:
        """Begin a new conversation."""
        self.session.clear()
        if not self.session.busy:
            self.query_one(Conversation).clear()
            self.query_one(LearningPanel).hide()

    def copy(self, what: str) -> None:
        """Put an answer, or what a tool printed, on the clipboard."""
        copied = copied_text(self.query_one(Conversation), what)
        if copied.text:
            self.app.copy_to_clipboard(copied.text)
        self.say(copied.sentence, "information" if copied.text else "warning")

    def theme_names(self) -> list[str]:
        """The themes that can be chosen."""
        return list(THEME_NAMES)

    def use_theme(self, name: str) -> None:
        """Change the theme, or say which there are."""
        problem = choose_theme(self.app, name)
        if problem is not None:
            self.say(problem)

    async def leave(self) -> None:
        """End the program."""
        await self.app.run_action("app.leave")
