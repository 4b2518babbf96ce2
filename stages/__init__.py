import signal
import sys

# While a stage imports its libraries, Ctrl-C ends it without a traceback; after that, `cli.run` does.
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
