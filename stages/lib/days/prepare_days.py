"""The session table of a log that grows by parts, such as a file a day: a part is prepared once, when it is new."""

import os
import shutil
from pathlib import Path

from stages.lib.common.errors import InputError
from stages.lib.common.files import atomic_write, write_json
from stages.lib.common.params import Prepare, Runtime
from stages.lib.dataset.day_files import LEFT_OUT
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.days.known_days import open_days
from stages.lib.days.memo import Memo
from stages.lib.days.state import State
from stages.lib.preparation.features import feature_names, omitted_features
from stages.lib.preparation.partitions import no_sessions
from stages.lib.preparation.prepare import check_dropped, report_omitted


def prepare_days(
    source: Path, settings: Prepare, runtime: Runtime, output: Path, left_out: LeftOut
) -> tuple[State, list[str]]:
    """Write a folder with a file for each day on which sessions began.

    Args:
        source: a folder, whose files and folders that match `prepare.clicks.days` are the parts of the log.
        settings: how to read them.
        runtime: where to keep what is known of them, and the engine that aggregates new ones.
        output: the folder to write.
        left_out: gets what is left out or changed.

    Returns:
        What is known now, and hints on what the table has not.

    Raises:
        InputError: a part can't be read, or no session, or all of them, end in a purchase.
    """
    schema = Schema.of(settings, {})
    with open_days(
        source,
        schema,
        Path(runtime.memo),
        left_out,
        engine_url=runtime.engine,
        memory_limit=runtime.memory_limit,
    ) as (memo, parts, state):
        missing = parts[0].missing
        check_dropped(settings.drop, feature_names(settings.clicks, missing))
        hints = report_omitted(omitted_features(missing), settings, left_out)
        _check_target(state, settings)
        if settings.strict:
            left_out.check_nothing()
        _write_output(state, memo, output, left_out)
    return state, hints


def _check_target(state: State, settings: Prepare) -> None:
    rows, purchases = (sum(getattr(day, name) for day in state.days.values()) for name in ("rows", "purchases"))
    if not rows:
        raise no_sessions(settings.clicks)
    if purchases in (0, rows):
        raise InputError(f"target '{settings.target}': {'no' if not purchases else 'each'} session ends in a purchase")


def _write_output(state: State, memo: Memo, output: Path, left_out: LeftOut) -> None:
    memo.check(memo.folder / day.file for day in state.days.values())
    with atomic_write(output) as temporary:
        temporary.mkdir()
        for date, day in state.days.items():
            _link(memo.folder / day.file, temporary / f"{date}.parquet")
        write_json(temporary / LEFT_OUT, [vars(finding) for finding in left_out.findings])


def _link(file: Path, path: Path) -> None:
    """A hard link where the file system has them, or else a copy."""
    try:
        os.link(file, path)
    except OSError:
        shutil.copy2(file, path)
