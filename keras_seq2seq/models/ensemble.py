"""Several models that generate together."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from keras_seq2seq.decoding import ALIGNMENT, LINEAGE, Listed
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.attentional_recurrence import MEMORY_MASK
from keras_seq2seq.models.generation import TextGeneration
from keras_seq2seq.models.parts import State
from keras_seq2seq.models.seq2seq import Seq2Seq


class Ensemble(TextGeneration):
    """Averages the token probabilities of models: `p(y_t) = 1/n sum_i p_i(y_t)`.

    It generates and scores like a `Seq2Seq`; it cannot be trained or saved. The models may
    differ in architecture; they must have the same vocabularies.

    Args:
        models: Two or more `Seq2Seq` models, usually trained with different seeds.

    Raises:
        InputError: If there is no model, or the vocabularies differ.
    """

    def __init__(self, models: Sequence[Seq2Seq]):
        if not isinstance(models, Sequence) or not all(
            isinstance(one, TextGeneration) for one in models
        ):
            raise InputError(
                f"An ensemble is made of a list of Seq2Seq models. Received: {models!r:.80}."
            )
        if not models:
            raise InputError("An ensemble needs at least one model. Received none.")
        sizes = [(m.preprocessor.kind, *m.preprocessor.source_size) for m in models]
        kinds = {kind for kind, *_ in sizes}
        if (len(kinds) > 1 or kinds != {"text"}) and len(set(sizes)) > 1:
            raise InputError(
                f"The models of an ensemble must read one source. Received: {sizes}."
            )
        for side in ("source", "target"):
            if side not in models[0].preprocessor.tokenizers:
                continue
            vocabularies = [
                model.preprocessor.tokenizers[side].get_vocabulary() for model in models
            ]
            if any(vocabulary != vocabularies[0] for vocabulary in vocabularies):
                raise InputError(
                    f"The models of an ensemble must have the same {side} vocabulary. "
                    f"Received sizes {[len(vocabulary) for vocabulary in vocabularies]}, with "
                    "different tokens."
                )
        self.models = list(models)
        self.weights = [weight for model in models for weight in model.weights]
        has_attention = all(model.alignment_model is not None for model in models)
        self.alignment_model: Any = self._mean_alignment if has_attention else None
        lengths = [m.decoder.max_length for m in models if m.decoder.max_length is not None]
        self.decoder: Any = SimpleNamespace(
            vocabulary_size=models[0].decoder.vocabulary_size,
            max_length=min(lengths, default=None),
        )
        self._preprocessor = models[0].preprocessor
        self._begin_caches()

    def encoder_spec(self, batch_size: int | None = None) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of the encoder inputs."""
        return self.models[0].encoder_spec(batch_size)

    def encode(self, inputs: dict[str, Any]) -> State:
        """The states of all models, each name with the number of its model in front."""
        return {
            f"{index}_{name}": tensor
            for index, model in enumerate(self.models)
            for name, tensor in model.encode(inputs).items()
        }

    def step(self, token: Any, state: State) -> tuple[Any, State]:
        """One step of every model; the logits are the log of the mean probability, the
        alignment is the mean."""
        logits: list[Any] = []
        alignments: list[Any] = []
        changed: State = {}
        for index, model in enumerate(self.models):
            prefix = f"{index}_"
            own = {
                name.removeprefix(prefix): tensor
                for name, tensor in state.items()
                if name.startswith(prefix)
            }
            own |= {name: state[name] for name in (ALIGNMENT, LINEAGE) if name in state}
            model_logits, model_changed = model.step(token, own)
            logits.append(model_logits)
            if ALIGNMENT in state:
                alignments.append(tf.cast(model_changed.pop(ALIGNMENT), tf.float32))
            changed |= {f"{prefix}{name}": tensor for name, tensor in model_changed.items()}
        if alignments:
            changed[ALIGNMENT] = tf.reduce_mean(tf.stack(alignments), 0)
        return _log_of_mean(logits), changed

    @property
    def compiles(self) -> bool:
        """Whether XLA can compile a search of every model."""
        return all(model.compiles for model in self.models)

    @property
    def can_list(self) -> bool:
        """Whether a step of every model can give the logits of chosen tokens alone."""
        return all(model.can_list for model in self.models)

    def listed(self, tokens: Listed) -> State:
        """Those of all models."""
        return {
            f"{index}_{name}": entry
            for index, model in enumerate(self.models)
            for name, entry in model.listed(tokens).items()
        }

    @property
    def position_entries(self) -> dict[str, int]:
        """Those of all models."""
        return {
            f"{index}_{name}": axis
            for index, model in enumerate(self.models)
            for name, axis in model.position_entries.items()
        }

    def memory_mask(self, state: State) -> Any:
        """That of the first model: all read the same source."""
        return state.get(f"0_{MEMORY_MASK}")

    def _mean_alignment(self, inputs: dict[str, Any], training: bool = False) -> tf.Tensor:
        weights = [
            model.alignment_model(  # type: ignore[misc]
                inputs, training=training
            )
            for model in self.models
        ]
        return tf.reduce_mean(tf.stack([tf.cast(one, tf.float32) for one in weights]), 0)

    def __call__(self, inputs: dict[str, Any], training: bool = False) -> tf.Tensor:
        """The whole sequence: training inputs -> logits, as of one model."""
        return _log_of_mean([model(inputs, training=training) for model in self.models])


def _log_of_mean(logits: list[tf.Tensor]) -> tf.Tensor:
    log_probs = tf.stack([tf.nn.log_softmax(tf.cast(one, tf.float32)) for one in logits])
    return tf.reduce_logsumexp(log_probs, axis=0) - math.log(len(logits))
