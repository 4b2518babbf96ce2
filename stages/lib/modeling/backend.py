"""TensorFlow and Keras, imported without log lines and limited to one thread, so that results are deterministic."""

import gc
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

# TensorFlow logs that there is no GPU before it reads its log level: stderr is redirected during the import.
_stderr = os.dup(2)
_devnull = os.open(os.devnull, os.O_WRONLY)
# Keras imports these, if they are there, for wrappers and pictures that nothing here uses: a third of the whole import.
_unused = [name for name in ("matplotlib", "pandas", "scipy", "sklearn") if name not in sys.modules]
sys.modules.update(dict.fromkeys(_unused))  # type: ignore[arg-type]
# The import makes a million permanent objects: searching them for garbage would take a quarter of its time.
gc.disable()
try:
    sys.stderr.flush()
    os.dup2(_devnull, 2)
    import keras
    import tensorflow as tf

    # With another number of threads, sums are computed in another order. One is fastest for networks this small;
    # further cores train other points of a grid.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
finally:
    for _name in _unused:
        del sys.modules[_name]
    gc.freeze()
    gc.enable()
    os.dup2(_stderr, 2)
    os.close(_stderr)
    os.close(_devnull)

__all__ = ["keras", "tf"]
