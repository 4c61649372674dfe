"""What a format has not, so that it is refused before anything is written."""

from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.declarations import settings_of

# Formats with a loop in the graph.
ALTERNATIVES = "onnx_loop, tflite or saved_model"
_TFLITE = ("tflite", "tflite_float16", "tflite_int8")
# Why sampling is not in it.
_NO_SAMPLING = {
    **dict.fromkeys(_TFLITE, "TFLite, which has no seeded random numbers"),
    "web": "a web page, which has no seeded random numbers",
    "onnx_loop": "ONNX, whose random numbers are not TensorFlow's",
}
# With weights of 8 bits LiteRT multiplies by rows that it gathered as by floats, which takes
# what a shortlist saves (docs/performance.md).
_NO_SHORTLIST = ("tflite_float16", "tflite_int8", "web", "onnx_loop")
# The settings that the loop in NumPy has not, with the values that it takes.
_RUNNER_LACKS: dict[str, Any] = {
    "sample": False,
    "num_beam_groups": 1,
    "ctc_weight": 0.0,
    "coverage_penalty": 0.0,
    "max_length_ratio": None,
    "min_length_ratio": 0.0,
    "allowed": None,
    "alignments": False,
    "replace_unknown": False,
    "shortlist": None,
}


def check_format(name: str, settings: GenerationSettings) -> None:
    """Raises `InputError` where the settings ask for what the format has not."""
    if settings.sample and name in _NO_SAMPLING:
        raise InputError(
            f"Sampling cannot be exported to {_NO_SAMPLING[name]}. Export a search, or "
            "sampling with --format saved_model."
        )
    if settings.shortlist is not None and name in _NO_SHORTLIST:
        raise InputError(
            f"The format {name} has no --shortlist. Leave it out, or export saved_model, "
            "saved_model_xla or tflite alone with --format."
        )
    options = settings_of(GenerationSettings)
    for setting, value in _RUNNER_LACKS.items() if name == "onnx" else ():
        if getattr(settings, setting) != value:
            raise InputError(
                f"The runner of the ONNX format has no {options[setting].option}; leave it "
                f"out, or export {ALTERNATIVES}."
            )
