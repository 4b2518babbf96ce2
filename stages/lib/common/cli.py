"""The command line of every stage: paths in, one line of error out."""

import argparse
import inspect
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from stages.lib.common.errors import InputError


def run(main: Callable[..., None]) -> None:
    """Call `main` with a path from the command line for each of its parameters, and exit.

    A keyword-only parameter becomes a required option: `output` is `--output PATH` or `-o PATH`. An InputError ends the
    process with exit code 1 and one line, `STAGE: message`; an interrupt ends it with 130.
    """
    module = sys.modules[main.__module__]
    name = Path(inspect.getfile(main)).stem
    parser = argparse.ArgumentParser(prog=f"python -m stages.{name}", description=module.__doc__)
    for argument in inspect.signature(main).parameters.values():
        if argument.kind is argument.KEYWORD_ONLY:
            parser.add_argument(f"-{argument.name[0]}", f"--{argument.name}", type=Path, required=True)
        else:
            parser.add_argument(argument.name, type=Path)
    arguments = parser.parse_args()
    # DVC and schedulers stop a stage with SIGTERM: unwinding as for Ctrl-C removes half-written files.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main(**vars(arguments))
    except InputError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: interrupted; earlier outputs are unchanged", file=sys.stderr)
        sys.exit(130)
