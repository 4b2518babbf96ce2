"""`dvc` in a process forked from one that has imported it already, which is most of what a short command does."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

# What most commands import, but not pygit2, which reads the home folder when it is imported
PRELOADED = (
    *("dvc.cli", "dvc.cli.parser", "dvc.repo", "dvc.stage.cache", "dvc.stage.run", "dvc.data_cloud", "dvc.cachemgr"),
    *("dvc.repo.experiments", "dvc.repo.experiments.queue.celery", "dvc.repo.experiments.executor.local"),
    *("dvc.repo.metrics.show", "dvc.repo.params.show", "dvc.repo.plots", "dvc.repo.reproduce", "dvc.compare"),
    *("dvc_data.index.checkout", "dvc_task.app", "dulwich.porcelain", "dvc_render", "networkx", "pyparsing.testing"),
    *("rich.table", "ruamel.yaml", "tabulate", "dvc_s3", "dvc_ssh", "dvc_http"),
)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([*PRELOADED])


def start_dvc(
    arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str], outputs: list[Path], *, own_group: bool
) -> ForkServerProcess:
    """Start `dvc` with these arguments in the folder, perhaps in a process group of its own.

    Args:
        arguments: of `dvc`.
        folder: the working directory.
        environment: all of its variables.
        outputs: the files for what it prints, and for its errors.
        own_group: as a shell starts a command.
    """
    process = _context.Process(target=_main, args=(arguments, folder, dict(environment), outputs, own_group))
    process.start()
    return process


def run_dvc(
    arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What `dvc` with these arguments does in the folder, whether it succeeds or not."""
    with TemporaryDirectory() as scratch:
        outputs = [Path(scratch, name) for name in ("stdout", "stderr")]
        process = start_dvc(arguments, folder, environment, outputs, own_group=False)
        process.join()
        stdout, stderr = (path.read_text() for path in outputs)
    assert process.exitcode is not None
    return subprocess.CompletedProcess(("dvc", *arguments), process.exitcode, stdout, stderr)


def _main(
    arguments: tuple[str, ...], folder: Path, environment: dict[str, str], outputs: list[Path], own_group: bool
) -> None:
    if own_group:
        os.setpgrp()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    from dvc.cli import main

    sys.exit(main(list(arguments)))
