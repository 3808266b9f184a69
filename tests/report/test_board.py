"""The progress of folds that are trained side by side, as a table, and what their processes send to it."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console

from svhncli.report.board import Board, Relay
from svhncli.report.terminal import Show


def test_the_board_shows_the_progress_of_each_fold_and_the_folds_left() -> None:
    console = Console(force_terminal=True, width=80, height=24, record=True)
    show = Show()
    show.console = console
    table = Board(show, ["fold0", "fold1", "fold2"], epochs=10)
    row = {
        "epoch": 4,
        "lr": 1e-3,
        "train_loss": 1.0,
        "train_accuracy": 0.5,
        "val_loss": 0.9,
        "val_accuracy": 0.6,
    }
    with table:
        table.begin("fold0")
        table.begin("fold1")
        table.take("fold0", "epoch", row, 10, 1234.0, True)
        table.take("fold1", "step", "epoch 1/10 train", 1, 4)
        console.print(table.live.get_renderable())
    text = console.export_text()
    assert re.search(r"fold0 +4/10 +60\.00% +4 +1,234 +\d", text)
    assert re.search(r"fold1 +0/10 .*epoch 1/10 train 25%", text)
    assert "0 of 3 done, 2 under way, 1 waiting; at most" in text


def test_a_relay_sends_messages_and_progress() -> None:
    sent: list[tuple[Any, ...]] = []
    relay = Relay(lambda *message: sent.append(message))
    relay.say("hello")
    relay.warn("careful")
    relay.tell("prose")
    relay.step("epoch 1/2 train", 1, 9)
    relay.step("epoch 1/2 train", 2, 9)  # too soon after the one before
    with relay.bars():
        relay.epoch({"epoch": 1}, 2, 10.0, True)
    assert sent == [
        ("say", "hello", ""),
        ("warn", "careful"),
        ("tell", "prose"),
        ("step", "epoch 1/2 train", 1, 9),
        ("epoch", {"epoch": 1}, 2, 10.0, True),
    ]
