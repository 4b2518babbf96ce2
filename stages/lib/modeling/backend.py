"""TensorFlow and Keras, imported for all that trains: quiet, on one thread, the same to the bit each time."""

import gc
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

# TensorFlow's first lines come before its log level is read; they say that there is no GPU.
_stderr = os.dup(2)
_nowhere = os.open(os.devnull, os.O_WRONLY)
# Loading makes a million objects that stay: looking through them for garbage takes a quarter of its time.
gc.disable()
try:
    sys.stderr.flush()
    os.dup2(_nowhere, 2)
    import keras
    import tensorflow as tf

    # The networks are small: a second thread costs more than it helps, and another number of threads sums in
    # another order. Cores are for grid points.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
finally:
    gc.freeze()
    gc.enable()
    os.dup2(_stderr, 2)
    os.close(_stderr)
    os.close(_nowhere)

__all__ = ["keras", "tf"]
