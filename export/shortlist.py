"""Formats that have no shortlists."""

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings


def check_no_shortlist(settings: GenerationSettings, name: str) -> None:
    """Raises `InputError` where a format that has none is to have a shortlist.

    With weights of 8 bits LiteRT multiplies by rows that it gathered as by floats, which takes
    what is saved (docs/performance.md).
    """
    if settings.shortlist is not None:
        raise InputError(
            f"The format {name} has no --shortlist. Leave it out, or export saved_model, "
            "saved_model_xla or tflite alone with --format."
        )
