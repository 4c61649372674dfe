"""Preprocessor, model and loss of a configuration."""

import inspect
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
from keras_seq2seq.settings import option_name

from ..settings.config import MODEL_SETTINGS, TrainingConfig
from .own_parts import OwnParts
from .vocabularies import Vocabulary, text_tokenizers


def build_preprocessor(
    config: TrainingConfig, train: Pairs, own: OwnParts | None = None
) -> Preprocessor:
    """Tokenizers and maximum lengths from the training pairs."""
    if config.source == "text":
        source, target = text_tokenizers(config, train, own)
        return TextPreprocessor(
            source,
            target,
            config.max_source_length or longest_of(source, train.sources),
            config.max_target_length or longest_of(target, train.targets),
        )
    shared: dict[str, Any] = {
        "max_source_length": config.max_source_length or None,
        "max_target_length": config.max_target_length or None,
        "min_count": config.min_count,
    }
    if config.joint_vocabulary:
        raise InputError(
            f"--joint-vocabulary needs sources of text. Received: --source {config.source}."
        )
    vocabulary: Any = Vocabulary(config, "target", own)
    if config.source == "features":
        return FramePreprocessor.from_pairs(train.sources, train.targets, vocabulary, **shared)
    rate = config.sample_rate or sample_rate_of(train.sources[0])
    return WaveformPreprocessor.from_pairs(
        train.sources, train.targets, vocabulary, sample_rate=rate, **shared
    )


def build_model(
    config: TrainingConfig, preprocessor: Preprocessor, own: OwnParts | None = None
) -> Seq2Seq:
    """The model of a configuration, new weights."""
    build = ARCHITECTURES[config.architecture]
    settings = config.to_dict()
    arguments = inspect.signature(build).parameters
    defaults = TrainingConfig().to_dict()
    for name in MODEL_SETTINGS:
        if name not in arguments and settings[name] != defaults[name]:
            raise InputError(
                f"{option_name(name)} does not apply to --architecture {config.architecture}. "
                f"Received: {settings[name]!r}. (--architecture recurrent has all settings of "
                "recurrent models.)"
            )
    try:
        model = build(preprocessor, **{k: settings[k] for k in arguments if k in settings})
    except ValueError as error:
        raise InputError(str(error)) from error
    if own is not None:
        model = own.put_into(model, config, preprocessor)
    if config.scheduled_sampling != "none":
        model.scheduled_sampling = ScheduledSampling(
            config.scheduled_sampling, config.sampling_steps, config.sampling_floor, config.seed
        )
    return model


def build_loss(config: TrainingConfig) -> Any:
    """The loss of a configuration, for `compile`."""
    if config.r_drop:
        return RDropCrossentropy(config.r_drop, config.label_smoothing)
    return SmoothedCrossentropy(config.label_smoothing)
