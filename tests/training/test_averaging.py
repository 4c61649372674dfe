import numpy as np
import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model, lstm
from training.run.averaging import average_models, epochs_to_average

HISTORY = [{"val_loss": loss} for loss in (3.0, 1.0, 2.0, 1.0, 4.0)]


@pytest.mark.parametrize(
    ("count", "of", "expected"),
    [
        (0, "last", []),
        (0, "best", []),
        (2, "last", [4, 5]),
        (9, "last", [1, 2, 3, 4, 5]),
        (1, "best", [2]),
        (3, "best", [2, 3, 4]),
        (9, "best", [1, 2, 3, 4, 5]),
    ],
)
def test_the_epochs_of_an_average(count, of, expected):
    assert epochs_to_average(HISTORY, count, of, "val_loss") == expected


def test_of_equals_the_lower_loss_is_averaged():
    history = [{"val_wer": 0.0, "val_loss": loss} for loss in (0.9, 0.2, 0.5)]
    assert epochs_to_average(history, 2, "best", "val_wer") == [2, 3]


@pytest.fixture(scope="module")
def saved(preprocessor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    model = lstm(preprocessor, embedding_dim=4, hidden_dim=6)
    weights = model.get_weights()
    paths = []
    for i, factor in enumerate((1.0, -2.0, 4.0)):
        model.set_weights([factor * weight for weight in weights])
        paths.append(folder / f"{i}.keras")
        model.save(paths[-1])
    return paths, weights


def test_every_weight_is_the_mean(saved):
    paths, weights = saved
    averaged = average_models(paths)
    for average, weight in zip(averaged.get_weights(), weights, strict=True):
        np.testing.assert_allclose(average, weight, rtol=1e-6)
    assert averaged.generate(["cab"]) == load_model(paths[0]).generate(["cab"])


def test_the_average_of_one_model_is_that_model(saved):
    paths, _ = saved
    pairs = zip(
        average_models(paths[1:2]).get_weights(),
        load_model(paths[1]).get_weights(),
        strict=True,
    )
    for average, weight in pairs:
        np.testing.assert_array_equal(average, weight)


def test_models_of_other_shapes_and_no_model_are_refused(saved, preprocessor, tmp_path):
    other = tmp_path / "other.keras"
    lstm(preprocessor, embedding_dim=4, hidden_dim=5).save(other)
    with pytest.raises(InputError, match="other.keras and .*0.keras cannot be averaged"):
        average_models([saved[0][0], other])
    with pytest.raises(InputError, match="no model to average"):
        average_models([])
