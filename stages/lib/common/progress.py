"""How far a stage is and how long it will take: a bar on a terminal, a line every few seconds in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

INTERVAL = 5.0  # seconds between two lines of a log, and before the first

_receivers: list[Callable[[float], object]] = []  # the last one shows progress


def advance(steps: float = 1) -> None:
    """Tell whoever shows progress, in this process or in the one whose worker this is, that steps are done."""
    if _receivers:
        _receivers[-1](steps)


def send_to(receiver: Callable[[float], object]) -> None:
    """Let a worker pass on what `advance` tells."""
    _receivers[:] = [receiver]


@contextmanager
def show_progress(what: str, total: float, unit: str, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Show progress while the context lasts: the bar on stderr, lines on stdout.

    Args:
        what: is done, such as "training".
        total: how many steps there are; `advance` counts those that are done.
        unit: what a step is, in the plural.
        clock: seconds.
    """
    if sys.stderr.isatty():
        layout = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} {unit}, {elapsed} elapsed, {remaining} left"
        with (
            tqdm(total=total, desc=what, unit=unit, bar_format=layout, leave=False, dynamic_ncols=True) as bar,
            _receiving(bar.update),
        ):
            yield
    else:
        with _receiving(_Log(what, total, unit, clock).advance):
            yield


@contextmanager
def _receiving(receiver: Callable[[float], Any]) -> Iterator[None]:
    _receivers.append(receiver)
    try:
        yield
    finally:
        _receivers.remove(receiver)


class _Log:
    def __init__(self, what: str, total: float, unit: str, clock: Callable[[], float]) -> None:
        self.what, self.total, self.unit, self.clock = what, total, unit, clock
        self.done = 0.0
        self.start = self.last = clock()

    def advance(self, steps: float) -> None:
        self.done += steps
        now = self.clock()
        if now - self.last >= INTERVAL and self.done < self.total:
            self.last = now
            elapsed = now - self.start
            remaining = elapsed * (self.total / self.done - 1)
            print(
                f"{self.what}: {self.done:.0f}/{self.total:.0f} {self.unit}, {format_duration(elapsed)} elapsed, "
                f"about {format_duration(remaining)} left",
                flush=True,
            )


def format_duration(seconds: float) -> str:
    """Such as 0:05, 12:30 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
