"""The Textual messages of the program, and how they bubble.

    controllers ──AgentEvent──▶ ChatScreen.present ──AgentSpoke──▶ ChatScreen ──▶ Transcript
    Prompt.Submitted ─────────▶ Outbox ──▶ SessionController.submit, commands.run, or a shell
    ProposalPanel.* ──────────▶ ChatScreen ──▶ DecisionDesk (approve, or open a box)
    CorrectionBox.* ──────────▶ ChatScreen ──▶ DecisionDesk (deny)
    ArgumentsEditor.* ────────▶ ChatScreen ──▶ DecisionDesk (edit)
    EditorRequested ──────────▶ App ──▶ external_editor.edit ──▶ the box that asked

Widgets post their own messages; only what the controllers say needs one here.
"""

from __future__ import annotations

from textual.message import Message

from .events import AgentEvent


class AgentSpoke(Message):
    """A controller said something; the screen takes these up one by one, in order."""

    def __init__(self, event: AgentEvent) -> None:
        super().__init__()
        self.event = event
