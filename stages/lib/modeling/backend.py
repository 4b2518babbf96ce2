"""TensorFlow and Keras, imported without log lines and limited to one thread, so that results are deterministic."""

import gc
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

# TensorFlow logs that there is no GPU before it reads its log level: stderr is redirected during the import.
_stderr = os.dup(2)
_devnull = os.open(os.devnull, os.O_WRONLY)
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
    gc.freeze()
    gc.enable()
    os.dup2(_stderr, 2)
    os.close(_stderr)
    os.close(_devnull)

__all__ = ["keras", "tf"]
