"""What TensorFlow and Keras need for few of their functions comes when these are used."""

import subprocess
import sys

import pytest

from keras_seq2seq.first_import import Deferred, deferring

PROGRAM = """
import gc, sys
import keras_seq2seq.models
late = ["jax", "matplotlib", "keras_hub", "scipy.stats"]
assert not set(late) & set(sys.modules), set(late) & set(sys.modules)
assert gc.isenabled()
from keras.src.visualization import plot_image_gallery
assert plot_image_gallery.plt.subplots.__module__ == "matplotlib.pyplot"
import matplotlib.pyplot
assert plot_image_gallery.plt.subplots is matplotlib.pyplot.subplots
from tensorflow.lite.python import util
try:
    import jax
except ImportError:
    assert util._jit is None
else:
    assert util._jit(lambda x: x + 1)(1) == 2
"""


def test_few_functions_pay_for_what_they_alone_need():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode()


def test_what_was_deferred_is_the_module_itself_afterwards(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with deferring("colorsys"):
        import colorsys as module
        from colorsys import rgb_to_hsv
    assert isinstance(module, Deferred) and "colorsys" not in sys.modules
    assert rgb_to_hsv(1.0, 0.0, 0.0) == (0.0, 1.0, 1.0)
    import colorsys

    assert module.hsv_to_rgb is colorsys.hsv_to_rgb
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018


def test_what_is_there_or_not_installed_is_not_deferred():
    for name in ("json", "there_is_no_such_package"):
        before = sys.modules.get(name)
        with deferring(name):
            assert sys.modules.get(name) is before
