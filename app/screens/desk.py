"""The desk: where a proposal lies until the user has decided about it.

The panel with the call stays; below it opens the box for a correction or the editor for the
arguments. While one of them is open no key can reach the call; Esc in them goes back to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from textwrap import dedent
from typing import Any

from textual.widget import Widget

from ...training.protocol import ToolCall
from ...widgets.arguments_editor import ArgumentsEditor
from ...widgets.call_preview import CallPreview
from ...widgets.correction_box import CorrectionBox
from ...widgets.diff import DiffMode
from ...widgets.languages import language_of_path
from ...widgets.marking import mark
from ...widgets.proposal_panel import ProposalPanel
from ...widgets.squeeze import GIVES_WAY, SqueezeVertical
from ..agent.proposal import Approve, Decision, Deny, Edit, Proposal, fingerprint
from ..controllers.approval import spelled_out
from ..tools import registry
from ..tools.base import Preview
from .chat_layout import GIVES_ROOM, ROOM_GIVEN_BY


def call_preview(call: ToolCall, preview: Preview) -> CallPreview:
    """A tool's preview as the panel takes it; of one that cannot work, what it is given."""
    shown = CallPreview(tool=call.name, **asdict(preview))
    if preview.problem is None or preview.command is not None or preview.text:
        return shown
    return replace(shown, kind="text", text=dedent(spelled_out(call).partition("\n")[2]))


def language_of(call: ToolCall) -> str:
    """The language of a call's code, as a name that Pygments knows."""
    if call.name == "bash":
        return "bash"
    return language_of_path(str(call.arguments.get("path", "")))


class DecisionDesk(SqueezeVertical):
    """Shows the pending proposal and turns what the user does into a decision.

    ``typing`` says whether the user is typing elsewhere, in which case the focus stays there.
    """

    DEFAULT_CSS = """
    DecisionDesk { height: auto; min-height: 3; display: none; }
    DecisionDesk > ProposalPanel { min-height: 3; }
    DecisionDesk > ArgumentsEditor { min-height: 3; }
    DecisionDesk.-busy { display: block; }
    DecisionDesk > ProposalPanel { max-height: 50vh; }
    DecisionDesk > ProposalPanel.-shut { max-height: 30vh; }
    DecisionDesk > ArgumentsEditor { max-height: 50vh; }
    DecisionDesk CodeArea { max-height: 30vh; }
    """

    def __init__(
        self, *, arm_delay: float, typing: Callable[[], bool], classes: str | None = None
    ) -> None:
        super().__init__(classes=classes)
        self._arm_delay = arm_delay
        self._typing = typing
        self._pending: asyncio.Future[Decision] | None = None
        self._proposal: Proposal | None = None
        self._preview: Callable[[ToolCall], Preview] | None = None
        self._mode: DiffMode = "automatic"
        self._given = ""
        self._edited_preview: tuple[ToolCall, Preview] | None = None
        self.tool_error: str | None = None

    @property
    def panel(self) -> ProposalPanel | None:
        """The panel of the pending proposal."""
        found = self.query(ProposalPanel)
        return found.first() if found else None

    def take_focus(self) -> bool:
        """Give the keys back to what waits for the user; False where it has them already."""
        panel = self.panel
        boxes = self.query("CorrectionBox, ArgumentsEditor")
        waiting = boxes.first() if boxes else panel
        if waiting is None or waiting.has_focus_within:
            return False
        if panel is not None and waiting is panel and panel.shut:
            return False
        first = next((each for each in waiting.query("*") if each.focusable), waiting)
        first.focus()
        return True

    async def decide(self, proposal: Proposal, preview: Callable[[ToolCall], Preview]) -> Decision:
        """Show a proposal and wait for the user's decision; cancelled when interrupted.

        ``preview`` says, in a thread, what a call with edited arguments would do.
        """
        self._proposal, self._preview = proposal, preview
        self._given = fingerprint(proposal.call, proposal.preview)
        self._pending = asyncio.get_running_loop().create_future()
        panel = ProposalPanel(
            call_preview(proposal.call, proposal.preview),
            always=spelled_out(proposal.call, proposal.preview.terms),
            mode=self._mode,
            arm_delay=self._arm_delay,
            classes=GIVES_WAY,
        )
        try:
            await self.mount(panel)
            self.add_class("-busy")
            self._make_room("-pending")
            if not self._typing():
                panel.focus()
            return await self._pending
        finally:
            self._mode = panel.mode
            self._pending = self._proposal = None
            if self.is_attached:  # not on the way out of the program
                self.remove_class("-busy")
                self._make_room("-deciding", "-pending", needed=False)
                await self.remove_children()

    def _settle(self, decision: Decision) -> None:
        if self._pending is not None and not self._pending.done():
            self._pending.set_result(decision)

    def _make_room(self, *names: str, needed: bool = True) -> None:
        """Mark what gives room to the call; the rest of the screen is not styled anew for it."""
        for sibling in self.siblings:
            if sibling.has_class(GIVES_ROOM):
                mark(sibling, *names, on=needed, decides=sibling.query(ROOM_GIVEN_BY))

    async def _open(self, widget: Widget) -> None:
        """Put a box below the call; the rest of the screen makes room for it."""
        self._make_room("-deciding")
        await self.mount(widget)
        widget.focus()

    async def _back_to_call(self) -> None:
        self._make_room("-deciding", needed=False)
        await self.query("CorrectionBox, ArgumentsEditor").remove()
        panel, proposal = self.panel, self._proposal
        if panel is not None and proposal is not None:
            await panel.show_preview(call_preview(proposal.call, proposal.preview))
            panel.rearm()
            panel.focus()

    # --- the call ---------------------------------------------------------------------

    async def on_proposal_panel_approved(self, message: ProposalPanel.Approved) -> None:
        """Run the call as it is shown."""
        message.stop()
        await self._approve(message.panel)

    async def on_proposal_panel_always_requested(
        self, message: ProposalPanel.AlwaysRequested
    ) -> None:
        """Run it, and exactly this call again without asking."""
        message.stop()
        await self._approve(message.panel, always=True, for_good=message.for_good)

    async def _approve(
        self, panel: ProposalPanel, *, always: bool = False, for_good: bool = False
    ) -> None:
        """Decide, if the panel shows the call that would be run."""
        proposal = self._proposal
        if proposal is None:
            return
        if panel.preview != call_preview(proposal.call, proposal.preview):
            await self._back_to_call()
            return
        self._settle(Approve(always=always, for_good=for_good, shown=self._given))

    def on_proposal_panel_full_screen_requested(
        self, message: ProposalPanel.FullScreenRequested
    ) -> None:
        """Show the call on the whole screen; it is decided in the panel."""
        from .call import CallScreen

        message.stop()
        panel = message.panel

        def back(seen: bool | None) -> None:
            if seen:
                panel.mark_seen()
            panel.begin_quiet_time()

        self.app.push_screen(CallScreen(panel.preview, panel.mode), back)

    async def on_proposal_panel_deny_requested(self, message: ProposalPanel.DenyRequested) -> None:
        """Ask what it should do instead."""
        message.stop()
        await self._open(CorrectionBox(suggestion=self.tool_error))

    async def on_proposal_panel_edit_requested(self, message: ProposalPanel.EditRequested) -> None:
        """Open the arguments."""
        message.stop()
        if self._proposal is None:
            return
        call = self._proposal.call
        self._edited_preview = None
        tool = registry.TOOLS[call.name]
        editor = ArgumentsEditor(
            dict(tool.parameters),
            dict(call.arguments),
            language_hint=language_of(call),
            validate=lambda arguments: registry.validate(self._edited(arguments)),
            read=message.panel.seen,
            classes=GIVES_WAY,
        )
        await self._open(editor)

    # --- the correction ---------------------------------------------------------------

    def on_correction_box_submitted(self, message: CorrectionBox.Submitted) -> None:
        """Deny with what was written."""
        message.stop()
        self._settle(Deny(message.text))

    async def on_correction_box_cancelled(self, message: CorrectionBox.Cancelled) -> None:
        """Go back to the call."""
        message.stop()
        await self._back_to_call()

    # --- the arguments ----------------------------------------------------------------

    def _edited(self, arguments: Mapping[str, Any]) -> ToolCall:
        assert self._proposal is not None
        return ToolCall(name=self._proposal.call.name, arguments=dict(arguments))

    async def on_arguments_editor_changed(self, message: ArgumentsEditor.Changed) -> None:
        """Show what the edited call would do."""
        message.stop()
        if self._proposal is None or self._preview is None or self.panel is None:
            return
        call = self._edited(message.arguments)
        message.editor.use_language(language_of(call))
        if registry.validate(call) is not None:
            self.panel.mark_stale()
            return
        call = registry.coerce(call)
        preview = await asyncio.to_thread(self._preview, call)
        self._edited_preview = (call, preview)
        if self.panel is not None:
            await self.panel.show_preview(call_preview(call, preview))

    def on_arguments_editor_unreadable(self, message: ArgumentsEditor.Unreadable) -> None:
        """Say that the preview is that of earlier arguments."""
        message.stop()
        if self.panel is not None:
            self.panel.mark_stale()

    def on_arguments_editor_submitted(self, message: ArgumentsEditor.Submitted) -> None:
        """Run the call with these arguments, as it was shown if they were shown."""
        message.stop()
        known, call = self._edited_preview, registry.coerce(self._edited(message.arguments))
        shown = known[1] if known is not None and known[0] == call else None
        self._settle(Edit(message.arguments, shown))

    async def on_arguments_editor_cancelled(self, message: ArgumentsEditor.Cancelled) -> None:
        """Go back to the call."""
        message.stop()
        await self._back_to_call()
