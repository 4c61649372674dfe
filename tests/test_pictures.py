import numpy as np
import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.pictures import draw_attention, plot_attention


@pytest.mark.parametrize("suffix, start", [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture_has_the_format_of_its_name(tmp_path, suffix, start):
    path = tmp_path / "folder" / f"attention{suffix}"
    plot_attention(np.eye(2), ["a", "end"], ["AA", "end"], path)
    assert path.read_bytes().startswith(start)


def test_a_picture_of_a_generated_target(text_model, tmp_path):
    path = tmp_path / "attention.svg"
    assert draw_attention(text_model, "cab", path) == text_model.generate("cab")
    assert path.stat().st_size > 1000


def test_another_format_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match="must end in .png or .svg"):
        plot_attention(np.eye(1), ["a"], ["b"], tmp_path / "attention.gif")


def test_weights_must_fit_the_tokens(tmp_path):
    with pytest.raises(ValueError, match=r"Received: shape \(2, 2\), 1 target and 2 source"):
        plot_attention(np.eye(2), ["a", "b"], ["c"], tmp_path / "attention.png")
