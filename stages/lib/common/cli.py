"""The command line of every stage: paths in, one line of error out."""

import argparse
import gc
import inspect
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from stages.lib.common.errors import InputError, storage_problem


def run(main: Callable[..., None]) -> None:
    """Call `main` with a path from the command line for each of its parameters, and exit.

    A keyword-only parameter becomes an option. Without a default it is a required path: `output` is `--output PATH` or
    `-o PATH`. With a default it is optional: a flag if that is False, one of the values of a Literal, or else a text.
    An InputError, a full disk and a missing permission end the process with exit code 1 and `STAGE: message`, one line
    unless there are several problems; an interrupt ends it with 130.
    """
    if main.__module__ == "__main__":  # a process of its own
        gc.freeze()  # what imports have made stays, so garbage collections need not look at it
    module = sys.modules[main.__module__]
    name = Path(inspect.getfile(main)).stem
    parser = argparse.ArgumentParser(prog=f"python -m stages.{name}", description=module.__doc__)
    for argument in inspect.signature(main).parameters.values():
        option = f"--{argument.name.replace('_', '-')}"
        if argument.kind is not argument.KEYWORD_ONLY:
            parser.add_argument(argument.name, type=Path)
        elif argument.default is argument.empty:
            parser.add_argument(f"-{argument.name[0]}", option, type=Path, required=True)
        elif argument.default is False:
            parser.add_argument(option, action="store_true")
        else:
            choices = [choice for part in get_args(argument.annotation) for choice in get_args(part)]
            parser.add_argument(option, choices=choices or None)
    arguments = parser.parse_args()
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    # DVC and schedulers stop a stage with SIGTERM: unwinding as for Ctrl-C removes half-written files.
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as the shell sets it for what runs in the background
        signal.signal(signal.SIGINT, interrupt)
    try:
        main(**vars(arguments))
    except InputError as error:
        sys.exit(f"{name}: {storage_problem(error) or error}")
    except (KeyboardInterrupt, Exception) as error:
        if not interrupted:
            if problem := storage_problem(error):
                sys.exit(f"{name}: {problem}")
            raise
        # DuckDB raises an error of its own where an interrupt reaches it.
        print(f"{name}: interrupted; earlier outputs are unchanged", file=sys.stderr)
        sys.exit(130)
