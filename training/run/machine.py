"""The machine of a run: what it is, and how much of it is used."""

import os
import platform
import sys
from importlib.metadata import version
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console


def describe_machine() -> dict[str, Any]:
    """What the numbers of a run were measured on."""
    return {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "accelerator": _accelerator_name(),
        "keras_seq2seq": version("keras-seq2seq"),
    }


def _accelerator_name() -> str:
    """The first accelerator that the backend uses; empty for the processor alone."""
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        name = f"{device.device_kind}, JAX {jax.__version__}"
        return "" if device.platform == "cpu" else name
    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return details.get("device_name", "GPU" if gpus else "")


def _processor_name() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int:
    """The memory of the machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows; some systems lack a name.
        return 0


def set_threads(intra_op_threads: int, console: Console) -> None:
    """TensorFlow's threads for one operation; 0 leaves them alone."""
    if not intra_op_threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
    except RuntimeError:  # Only possible before the first operation of the process.
        console.print("TensorFlow runs already: --intra-op-threads has no effect.")
