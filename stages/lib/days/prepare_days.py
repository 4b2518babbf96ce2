"""The session table of a log that grows by parts, such as a file a day: a part is prepared once, when it is new."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stages.lib.common.errors import InputError
from stages.lib.common.files import atomic_write, lock, write_json
from stages.lib.common.params import Prepare, Runtime
from stages.lib.common.progress import advance, show_progress
from stages.lib.dataset.left_out import Finding, LeftOut
from stages.lib.days.memo import Memo
from stages.lib.days.part import Part, read_part
from stages.lib.days.state import KIND, State, keep_latest_states, nearest_state
from stages.lib.days.update import add_parts
from stages.lib.preparation.engine import DEFAULT_MEMORY, open_engine

LEFT_OUT = "_left_out.json"
EVENTS_AT_ONCE = 4_000_000  # of the parts that are added at once


def prepare_days(source: Path, settings: Prepare, runtime: Runtime, output: Path, left_out: LeftOut) -> State:
    """Write a folder with a file for each day on which sessions began.

    Args:
        source: a folder, whose files and folders that match `prepare.clicks.days` are the parts of the log.
        settings: how to read them.
        runtime: where to keep what is known of them, and the engine that aggregates new ones.
        output: the folder to write.
        left_out: gets what is left out or changed.

    Raises:
        InputError: a part can't be read, or no session, or all of them, end in a purchase.
    """
    folder = Path(runtime.memo).absolute()
    memo = Memo(folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / "lock"):
        paths = find_parts(source, settings.clicks.days or "")
        with show_progress("days", len(paths), "parts"):
            parts = [_read_part(path, runtime, memo, source) for path in paths]
        _check_alike(parts)
        state = _add_all(parts, runtime, memo)
        _check_target(state, settings)
        _collect_findings(parts, state, settings, left_out)
        if settings.strict:
            left_out.check_nothing()
        _write_output(state, memo, output, left_out)
        keep_latest_states(memo)
    return state


def find_parts(source: Path, pattern: str) -> list[Path]:
    """The files and folders of the source that match the pattern, by name.

    Raises:
        InputError: the source is no folder, or there are none.
    """
    if not source.is_dir():
        raise InputError(f"{source}: expected a folder of days, as prepare.clicks.days is set")
    paths = sorted(path for path in source.glob(pattern) if path.name[0] not in "._")
    if not paths:
        raise InputError(f"{source}: no file or folder matches '{pattern}' (prepare.clicks.days)")
    return paths


def _read_part(path: Path, runtime: Runtime, memo: Memo, source: Path) -> Part:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    part = read_part(path, memo.hash_files(files, path.parent), runtime, memo)
    advance()
    return part


def _check_alike(parts: Sequence[Part]) -> None:
    """Parts of the same content count once, and all have the same columns."""
    first, contents = parts[0], dict[str, Path]()
    for part in parts:
        if part.content in contents:
            raise InputError(f"{part.source}: has the same content as {contents[part.content]}; remove one of them")
        contents[part.content] = part.source
        if part.missing != first.missing:
            name = min({*part.missing} ^ {*first.missing})
            without, other = (part, first) if name in part.missing else (first, part)
            raise InputError(
                f"{without.source}: no column for {name}, which {other.source} has; set prepare.clicks.columns.{name} "
                "to null to go on without it"
            )


def _add_all(parts: Sequence[Part], runtime: Runtime, memo: Memo) -> State:
    """The state that knows all parts; what the memo has of it is not made again."""
    state = nearest_state(memo, [part.content for part in parts])
    by_source = {part.folder: part for part in parts}
    unknown = [part for part in parts if part.content not in state.parts]
    while unknown:
        chunk = [unknown.pop(0)]
        while unknown and sum(part.n_events for part in chunk) + unknown[0].n_events <= EVENTS_AT_ONCE:
            chunk.append(unknown.pop(0))
        before = state

        def make(folder: Path, path: str, before: State = before, chunk: list[Part] = chunk) -> None:
            with open_engine(folder / "tables", memory_limit=runtime.memory_limit or DEFAULT_MEMORY) as engine:
                engine.local.raw_sql("SET preserve_insertion_order = false")
                add_parts(before, chunk, by_source, memo, engine, folder, path).save(folder)

        contents = [*before.parts, *(part.content for part in chunk)]
        state = State.load(memo.folder / memo.get(KIND, sorted(contents), make))
    return state


def _check_target(state: State, settings: Prepare) -> None:
    rows, purchases = (sum(getattr(day, name) for day in state.days.values()) for name in ("rows", "purchases"))
    if not rows:
        raise InputError(
            f"no session reaches page view {min(settings.clicks.score_at_views)} without a purchase; fix "
            "prepare.clicks.score_at_views, or prepare.clicks.events if the log has other names of events"
        )
    if purchases in (0, rows):
        raise InputError(f"target '{settings.target}': {'no' if not purchases else 'each'} session ends in a purchase")


def _collect_findings(parts: Sequence[Part], state: State, settings: Prepare, left_out: LeftOut) -> None:
    """The findings of all parts, those of the same kind as one."""
    findings: dict[tuple[str, str | None], Finding] = {}
    for finding in [finding for part in parts for finding in part.findings]:
        kind = (finding.what, finding.hint)
        if kind in findings:
            examples = [example for example in (findings[kind].example, finding.example) if example is not None]
            total = findings[kind].count + finding.count
            finding = replace(finding, count=total, example=min(examples, default=None))
        findings[kind] = finding
    left_out.findings += findings.values()
    what = "left out rows that are the same in every column as another"
    left_out.add(what, state.duplicates, hint="prepare.clicks.duplicates")
    limit = settings.clicks.max_events_per_session
    what = f"left out sessions of more than {limit} events"
    left_out.add(what, state.long_sessions, hint="prepare.clicks.max_events_per_session")


def _write_output(state: State, memo: Memo, output: Path, left_out: LeftOut) -> None:
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
