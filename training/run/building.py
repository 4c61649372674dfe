"""Preprocessor, model and loss of a configuration."""

from typing import Any

from keras_seq2seq.data import (
    FramePreprocessor,
    Pairs,
    Preprocessor,
    TextPreprocessor,
    WaveformPreprocessor,
)
from keras_seq2seq.data.preprocessor import longest_of
from keras_seq2seq.data.signals import sample_rate_of
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import ScheduledSampling
from keras_seq2seq.losses import RDropCrossentropy, SmoothedCrossentropy
from keras_seq2seq.models import ARCHITECTURES, Seq2Seq

from ..settings import TrainingConfig
from .machine import memory_bytes
from .own_parts import OwnParts
from .vocabularies import Vocabulary, text_tokenizers

WEIGHT_BYTES = 16


def build_preprocessor(
    config: TrainingConfig, train: Pairs, own: OwnParts | None = None
) -> Preprocessor:
    """Tokenizers and maximum lengths from the training pairs."""
    if config.data.source == "text":
        source, target = text_tokenizers(config, train, own)
        return TextPreprocessor(
            source,
            target,
            config.data.max_source_length or longest_of(source, train.sources),
            config.data.max_target_length or longest_of(target, train.targets),
        )
    shared: dict[str, Any] = {
        "max_source_length": config.data.max_source_length or None,
        "max_target_length": config.data.max_target_length or None,
        "min_count": config.data.min_count,
    }
    vocabulary: Any = Vocabulary(config, "target", own)
    if config.data.source == "features":
        return FramePreprocessor.from_pairs(train.sources, train.targets, vocabulary, **shared)
    rate = config.data.sample_rate or sample_rate_of(train.sources[0])
    return WaveformPreprocessor.from_pairs(
        train.sources, train.targets, vocabulary, sample_rate=rate, **shared
    )


def build_model(
    config: TrainingConfig, preprocessor: Preprocessor, own: OwnParts | None = None
) -> Seq2Seq:
    """The model of a configuration, new weights.

    Raises:
        InputError: If its parts do not fit each other, or training it would surely take more
            memory than the machine has.
    """
    _check_memory(config)
    build = ARCHITECTURES[config.model.architecture]
    try:
        model = build(preprocessor, **config.model.to_dict())
    except ValueError as error:
        raise InputError(str(error)) from error
    if own is not None:
        model = own.put_into(model, config, preprocessor)
    return with_sampling(model, config)


def with_sampling(model: Seq2Seq, config: TrainingConfig) -> Seq2Seq:
    """The model, reading tokens of its own in training if the configuration says so."""
    settings = config.optimization
    if settings.scheduled_sampling != "none":
        model.scheduled_sampling = ScheduledSampling(
            settings.scheduled_sampling,
            settings.sampling_steps,
            settings.sampling_floor,
            config.run.seed,
        )
    return model


def _check_memory(config: TrainingConfig) -> None:
    """Refuses sizes whose weights alone are too many: a layer has more than its units times
    its units, each of 4 bytes, with its gradient and two moments of Adam."""
    layers = config.model.num_layers + (getattr(config.model, "encoder_layers", 0) or 0)
    least = WEIGHT_BYTES * layers * config.model.hidden_dim**2
    if (memory := memory_bytes()) and least > memory:
        raise InputError(
            f"A model of --hidden-dim {config.model.hidden_dim} and --num-layers "
            f"{config.model.num_layers} takes more than {least / 1e9:,.0f} GB in training; "
            f"this machine has {memory / 1e9:,.0f} GB. Choose smaller sizes."
        )


def build_loss(config: TrainingConfig) -> Any:
    """The loss of a configuration, for `compile`."""
    if config.optimization.r_drop:
        return RDropCrossentropy(
            config.optimization.r_drop, config.optimization.label_smoothing
        )
    return SmoothedCrossentropy(config.optimization.label_smoothing)
