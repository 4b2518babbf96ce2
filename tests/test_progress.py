"""Progress says how much is done and how long the rest will take, on a clock of the test's own."""

import io
import sys

import pytest

from stages.lib.common.progress import advance, format_duration, show_progress


class Clock:
    """Seconds that pass only when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_has_a_line_every_five_seconds_until_all_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with show_progress("training", 20, "epochs", clock):
        for _ in range(20):
            clock.now += 1
            advance()
    assert capsys.readouterr().out.splitlines() == [
        "training: 5/20 epochs, 0:05 elapsed, about 0:15 left",
        "training: 10/20 epochs, 0:10 elapsed, about 0:10 left",
        "training: 15/20 epochs, 0:15 elapsed, about 0:05 left",
    ]


def test_what_takes_less_than_five_seconds_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("training", 2, "epochs", Clock()):
        advance(2)
    assert capsys.readouterr().out == ""


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with show_progress("training", 4, "epochs"):
        advance()
        advance(3)
    assert "training:   0% |" in terminal.getvalue() and "0/4 epochs" in terminal.getvalue()


def test_without_anybody_who_shows_progress_it_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("training", 2, "epochs", Clock()):
        pass
    advance()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("seconds", "text"), [(4.6, "0:05"), (750, "12:30"), (3723, "1:02:03")])
def test_durations_are_written_as_on_a_clock(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
