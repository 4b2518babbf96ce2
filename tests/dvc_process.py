"""`dvc` in a process forked from one that has imported it already, which is most of what a short command does."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
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


def run_dvc(
    arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What `dvc` with these arguments does in the folder, whether it succeeds or not."""
    with TemporaryDirectory() as scratch:
        outputs = [Path(scratch, name) for name in ("stdout", "stderr")]
        process = _context.Process(target=_main, args=(arguments, folder, dict(environment), outputs))
        process.start()
        process.join()
        stdout, stderr = (path.read_text() for path in outputs)
    assert process.exitcode is not None
    return subprocess.CompletedProcess(("dvc", *arguments), process.exitcode, stdout, stderr)


def _main(arguments: tuple[str, ...], folder: Path, environment: dict[str, str], outputs: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    from dvc.cli import main

    sys.exit(main(list(arguments)))
