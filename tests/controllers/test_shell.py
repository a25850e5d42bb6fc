"""Shell commands of the user's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest
from continualcode_tui.app.agent.conversation import Conversation
from continualcode_tui.app.controllers.shell import ShellController, as_context

from ..support.waiting import until


def lives(process: int) -> bool:
    """Whether a process does anything; nobody may have taken note of its end."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_it_runs_in_the_folder_and_says_how_it_ended(tmp_path: Path) -> None:
    printed: list[str] = []
    shell = ShellController()
    ran = await shell.run("pwd; exit 3", tmp_path, printed.append)
    assert (ran.ok, ran.words) == (False, "exit 3")
    assert "".join(printed) == f"{tmp_path}\n"
    assert as_context("pwd", ran) == f"I ran a command myself:\n$ pwd\n{tmp_path}\n[exit 3]"
    assert not shell.running


async def test_keys_are_kept_from_the_model_and_not_from_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_API_KEY", "secret-1")
    shell = ShellController()
    own = await shell.run("env", tmp_path, lambda _: None)
    shared = await shell.run("env", tmp_path, lambda _: None, shared=True)
    assert "secret-1" in (own.output or "")
    assert "secret-1" not in (shared.output or "secret-1")


async def test_it_is_stopped_with_all_its_children(tmp_path: Path) -> None:
    shell = ShellController()
    command = "(sleep 60 & echo $!; wait)"
    printed: list[str] = []
    running = asyncio.ensure_future(shell.run(command, tmp_path, printed.append))
    await until(lambda: bool(printed))
    assert shell.running
    assert shell.stop()
    ran = await running
    assert (ran.words, ran.output) == ("stopped", None)
    assert not lives(int(printed[0]))
    assert not shell.stop()


async def test_what_no_shell_can_read_is_said(tmp_path: Path) -> None:
    ran = await ShellController().run("echo \0", tmp_path, lambda _: None)
    assert not ran.ok
    assert "NUL" in ran.words


def test_the_model_sees_it_once_with_the_next_request_and_lessons_do_not() -> None:
    conversation = Conversation("system")
    conversation.add_context("ls", "I ran a command myself:\n$ ls\n[exit 0]")
    assert conversation.context == ("ls",)
    conversation.add_request("what is there?")
    conversation.add_turn("Nothing.")
    conversation.add_request("really?")
    contents = [message.content for message in conversation.messages()]
    assert contents[1] == "I ran a command myself:\n$ ls\n[exit 0]\n\nwhat is there?"
    assert contents[-1] == "really?"
    assert conversation.siblings()[0][-1].content == "what is there?"
    assert conversation.context == ()


def test_going_back_to_a_request_gives_its_text_alone_and_keeps_what_went_with_it() -> None:
    conversation = Conversation("system")
    conversation.add_request("first")
    conversation.add_turn("One.")
    conversation.add_context("ls", "I ran a command myself:\n$ ls\n[exit 0]")
    conversation.add_request("what is there?")
    conversation.add_turn("Nothing.")
    assert conversation.requests == ("first", "what is there?")
    assert conversation.go_back(1) == "what is there?"
    assert len(conversation.context) == 1
    conversation.add_request("what was there?")
    shared = "I ran a command myself:\n$ ls\n[exit 0]\n\nwhat was there?"
    assert conversation.messages()[-1].content == shared
    assert conversation.go_back(0) == "first"
    assert conversation.context == ()
