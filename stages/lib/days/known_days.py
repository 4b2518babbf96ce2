"""The state of a log that grows by parts, such as a file a day: a part is read once, when it is new."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from stages.lib.common.errors import InputError, first_line
from stages.lib.common.files import lock
from stages.lib.common.params import Clicks
from stages.lib.common.progress import advance, show_progress
from stages.lib.dataset.left_out import Finding, LeftOut
from stages.lib.dataset.schema import Schema
from stages.lib.days.memo import Memo
from stages.lib.days.part import Part, read_part
from stages.lib.days.state import KIND, State, keep_latest_states, nearest_state
from stages.lib.days.update import Update
from stages.lib.preparation.engine import DEFAULT_MEMORY, LOCAL, duckdb_message, open_engine
from stages.lib.preparation.files import MARKS

EVENTS_AT_ONCE = 4_000_000  # of the parts that are added at once


@contextmanager
def open_days(
    source: Path,
    schema: Schema,
    memo_folder: Path,
    left_out: LeftOut,
    *,
    engine_url: str = LOCAL,
    memory_limit: int | None = None,
) -> Iterator[tuple[Memo, Sequence[Part], State]]:
    """What is known of all parts of a log, for as long as the block lasts.

    Args:
        source: a folder, whose files and folders that match `prepare.clicks.days` are the parts.
        schema: how to read them.
        memo_folder: has what is known of parts, and gets what is learned of new ones.
        left_out: gets what is passed over in the folder, and what is left out or changed in all parts.
        engine_url: aggregates new parts.
        memory_limit: bytes of this process.

    Yields:
        The memo, the parts in the order of their names, and the state that knows all of them.

    Raises:
        InputError: a part can't be read, or has other columns than the others.
    """
    memo_folder = memo_folder.absolute()
    memo_folder.mkdir(parents=True, exist_ok=True)
    memo = Memo(memo_folder, schema.model_copy(update={"features": {}}))
    with lock(memo_folder):
        paths = find_parts(source, schema.clicks.days or "", left_out)
        with show_progress("reading", len(paths), "parts"):
            parts = []
            for path in paths:
                content = memo.hash_files(_files(path), path.parent)
                parts.append(read_part(path, content, memo, engine_url, memory_limit))
                advance()
        _check_alike(parts)
        state = _add_all(parts, memo, memory_limit)
        _collect_findings(parts, state, schema.clicks, left_out)
        yield memo, parts, state
        keep_latest_states(memo)


@contextmanager
def _memo_errors(folder: Path) -> Iterator[None]:
    """What can't be read in the memo is damaged: nothing but this code writes there."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise InputError(duckdb_message(error)) from None
    except duckdb.Error as error:
        raise InputError(f"{folder}: {first_line(error)}; delete this folder and try again") from None


def find_parts(source: Path, pattern: str, left_out: LeftOut) -> list[Path]:
    """The files and folders of the source that match the pattern, by name; the others are reported.

    Raises:
        InputError: the source is no folder, or there are none.
    """
    if not source.is_dir():
        raise InputError(f"{source}: expected a folder, since prepare.clicks.days is set")
    paths = sorted(path for path in source.glob(pattern) if path.name[0] not in "._")
    if not paths:
        raise InputError(f"{source}: no file or folder matches '{pattern}' (prepare.clicks.days)")
    in_parts = {file for path in paths for file in (path, *path.rglob("*"))}
    others = sorted(path for path in source.rglob("*") if path.is_file() and path not in in_parts)
    passed_over = [path for path in others if not MARKS.fullmatch(path.name)]
    what = f"files of the folder that do not match '{pattern}' were passed over"
    example = passed_over[0].relative_to(source) if passed_over else None
    left_out.add(what, len(passed_over), example, "prepare.clicks.days")
    return paths


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _check_alike(parts: Sequence[Part]) -> None:
    """All parts have the same columns."""
    first = parts[0]
    for part in parts:
        if part.missing != first.missing:
            name = min({*part.missing} ^ {*first.missing})
            without, other = (part, first) if name in part.missing else (first, part)
            raise InputError(
                f"{without.source}: no column for {name}, which {other.source} has; set prepare.clicks.columns.{name} "
                "to null to go on without it"
            )


def _collect_findings(parts: Sequence[Part], state: State, clicks: Clicks, left_out: LeftOut) -> None:
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
    limit = clicks.max_events_per_session
    what = f"left out sessions of more than {limit} events"
    left_out.add(what, state.long_sessions, hint="prepare.clicks.max_events_per_session")


def _add_all(parts: Sequence[Part], memo: Memo, memory_limit: int | None) -> State:
    """The state that knows all parts; what the memo has of it is not made again."""
    state = nearest_state(memo, [part.content for part in parts])
    unknown = [part for part in parts if part.content not in state.parts]
    by_source = {part.folder: part for part in parts}
    print(f"{len(unknown)} new of {len(parts)} parts", flush=True)
    with show_progress("adding", len(unknown), "parts"):
        for chunk in _chunks(unknown):
            before = state

            def make(folder: Path, path: str, before: State = before, chunk: Sequence[Part] = chunk) -> None:
                with open_engine(folder / "tables", memory_limit=memory_limit or DEFAULT_MEMORY) as engine:
                    engine.local.raw_sql("SET preserve_insertion_order = false")
                    Update(before, chunk, by_source, memo, engine, folder, path).run().save(folder)

            contents = sorted([*before.parts, *(part.content for part in chunk)])
            with _memo_errors(memo.folder):
                state = State.load(memo.folder / memo.get(KIND, contents, make))
            advance(len(chunk))
    return state


def _chunks(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """The parts, as many at a time as have EVENTS_AT_ONCE together, but at least one."""
    chunk: list[Part] = []
    for part in parts:
        if chunk and sum(other.n_events for other in chunk) + part.n_events > EVENTS_AT_ONCE:
            yield chunk
            chunk = []
        chunk.append(part)
    if chunk:
        yield chunk
