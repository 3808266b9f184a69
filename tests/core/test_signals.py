"""Signals that end a job: noted first, and acting as they would outside afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from svhncli.core.signals import EXIT_CODES, noted

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs the signals of POSIX")


@pytest.fixture(autouse=True)
def seen() -> Iterator[list[int]]:
    """What reaches the handlers outside; those of before are put back."""
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: received.append(number)) for number in EXIT_CODES
    }
    yield received
    for number, handler in before.items():
        signal.signal(number, handler)


def test_keyboards_lost_terminals_and_schedulers_end_a_job_with_a_signal() -> None:
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2", "SIGXCPU")
    assert set(EXIT_CODES) == {signal.Signals[name] for name in names}


@pytest.mark.parametrize("number", EXIT_CODES)
def test_the_first_signal_is_noted_and_the_second_acts_as_it_would_outside(
    number: signal.Signals, seen: list[int]
) -> None:
    reported = []
    with noted(lambda: reported.append(number)) as ending:
        assert ending() is None
        os.kill(os.getpid(), number)
        assert (ending(), seen, reported) == (128 + number, [], [number])
        os.kill(os.getpid(), number)
        assert (ending(), seen, reported) == (128 + number, [number], [number])


def test_later_signals_do_nothing_where_a_parent_may_pass_them_on(seen: list[int]) -> None:
    reported = []
    with noted(lambda: reported.append("once"), again=False) as ending:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert (ending(), seen, reported) == (130, [], ["once"])


@pytest.mark.parametrize("number", EXIT_CODES)
def test_a_signal_that_a_process_was_started_to_ignore_stays_ignored_but_for_ctrl_c(
    number: signal.Signals,
) -> None:
    signal.signal(number, signal.SIG_IGN)
    with noted(lambda: None) as ending:
        os.kill(os.getpid(), number)
        assert ending() == (130 if number == signal.SIGINT else None)
    assert signal.getsignal(number) == signal.SIG_IGN


def test_the_handlers_of_before_are_back_after_the_block(seen: list[int]) -> None:
    with pytest.raises(ZeroDivisionError), noted(lambda: None):
        raise ZeroDivisionError
    os.kill(os.getpid(), signal.SIGTERM)
    assert seen == [signal.SIGTERM]
