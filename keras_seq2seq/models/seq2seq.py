"""The three functional models of an encoder-decoder, and generation with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.data.preprocessor import TextPreprocessor
from keras_seq2seq.decoding import (
    BeamSearch,
    GreedySearch,
    Hypotheses,
    LengthPenalty,
    Strategy,
    SuppressTokens,
    decode,
    score_tokens,
)
from keras_seq2seq.errors import InputError
from keras_seq2seq.models.parts import (
    ALIGNMENT,
    DECODER_TOKEN_IDS,
    LOGITS,
    TOKEN,
    Decoder,
    Encoder,
    State,
)
from keras_seq2seq.special_tokens import END_ID, PAD_ID, START_ID


@dataclass(frozen=True)
class _Views:
    """The models that are derived from the same layers; a plain object, so that Keras does
    not count and save their layers twice."""

    encoder_model: keras.Model
    decoder_model: keras.Model
    alignment_model: keras.Model | None


@keras.saving.register_keras_serializable("keras_seq2seq")
class Seq2Seq(keras.Model):
    """An encoder-decoder: the training model, with its inference models beside it.

    The model itself is what `fit` sees: `{"encoder_token_ids": (batch, source_length),
    "decoder_token_ids": (batch, target_length)}` -> logits `(batch, target_length,
    vocabulary_size)`, float32 (teacher forcing). `encoder_model` and `decoder_model` are
    functional models of the same layers: they share every weight, before and after training
    and after `keras.models.load_model`, with nothing to rewire.

    Args:
        encoder: An `Encoder`, such as `RecurrentEncoder`.
        decoder: A `Decoder`, such as `RecurrentDecoder`.
        preprocessor: `TextPreprocessor`, optional: needed to generate from strings and to
            export strings; saved with the model.
        name: string, optional.

    Example:

    ```python
    model = Seq2Seq(
        RecurrentEncoder(vocabulary_size=32, embedding_dim=64, hidden_dim=128),
        RecurrentDecoder(
            vocabulary_size=48, embedding_dim=64, hidden_dim=128, attention=LuongAttention(128)
        ),
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3, clipnorm=1.0))
    ```

    Reference:
        [Sutskever et al., 2014](https://arxiv.org/abs/1409.3215);
        [Luong et al., 2015](https://arxiv.org/abs/1508.04025).
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        preprocessor: TextPreprocessor | None = None,
        name: str | None = None,
    ):
        if preprocessor is not None:
            _check_vocabulary_sizes(encoder, decoder, preprocessor)
            _check_length(decoder, preprocessor.max_target_length + 1)
        encoder_inputs = encoder.inputs()
        encoder_output = encoder(encoder_inputs)
        state = decoder.initial_state(encoder_output)
        decoder_token_ids = keras.Input((None,), dtype="int32", name=DECODER_TOKEN_IDS)
        inputs = {**encoder_inputs, DECODER_TOKEN_IDS: decoder_token_ids}
        output = decoder(decoder_token_ids, state)
        super().__init__(inputs, output.logits, name=name)
        self.encoder = encoder
        self.decoder = decoder
        self._preprocessor = preprocessor

        encoder_model = keras.Model(encoder_inputs, state, name="encoder")
        step_state = {
            key: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=key)
            for key, tensor in state.items()
        }
        token = keras.Input((), dtype="int32", name=TOKEN)
        step = decoder.step(token, step_state)
        step_outputs = {LOGITS: step.logits, **step.state}
        if step.alignment is not None:
            step_outputs[ALIGNMENT] = step.alignment
        decoder_model = keras.Model({TOKEN: token, **step_state}, step_outputs, name="decoder")
        # The encoder's layers attach Keras masks to their outputs; the state carries its own.
        decoder_model.supports_masking = True
        alignment_model = (
            None
            if output.alignment is None
            else keras.Model(inputs, output.alignment, name="alignment")
        )
        self._views = _Views(encoder_model, decoder_model, alignment_model)
        self._decode_functions = lru_cache(maxsize=None)(self._build_decode_function)
        self._score_function = None

    @property
    def preprocessor(self) -> TextPreprocessor:
        """From strings to ids and back; `InputError` if the model was built without."""
        if self._preprocessor is None:
            raise InputError(
                "This model has no preprocessor, so it cannot take strings. Build it with "
                "`Seq2Seq(encoder, decoder, preprocessor=...)`, or call `decode` with ids."
            )
        return self._preprocessor

    @property
    def encoder_model(self) -> keras.Model:
        """Functional model: encoder inputs -> initial state (dictionary of tensors)."""
        return self._views.encoder_model

    @property
    def decoder_model(self) -> keras.Model:
        """Functional model of one step: `{"token": (batch,), **state}` -> `{"logits":
        (batch, vocabulary_size), "alignment": (batch, source_length), **changed state}`."""
        return self._views.decoder_model

    @property
    def alignment_model(self) -> keras.Model | None:
        """Functional model: the training inputs -> attention weights `(batch,
        target_length, source_length)`; `None` without attention."""
        return self._views.alignment_model

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = "auto",
        *,
        weighted_metrics: Any = "auto",
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile` with the loss and accuracy that mask padding as defaults.

        The weights of the batches are 0 where padded; the loss is the mean over the
        tokens that are not.
        """
        if isinstance(loss, str) and loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            )
        if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
            weighted_metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        super().compile(optimizer, loss, weighted_metrics=weighted_metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    # The seam: what decoding and export need.

    def encode(self, inputs: dict[str, Any]) -> State:
        """Encoder inputs -> initial state of the decoder."""
        return self.encoder_model(inputs, training=False)

    def step(self, token: Any, state: State) -> tuple[Any, State]:
        """`(batch,)` token ids and state -> logits and the entries that changed."""
        token = keras.ops.convert_to_tensor(token, "int32")
        outputs = dict(self.decoder_model({TOKEN: token, **state}, training=False))
        outputs.pop(ALIGNMENT, None)
        return outputs.pop(LOGITS), outputs

    def decode(
        self, inputs: dict[str, Any], strategy: Strategy, max_length: int | tf.Tensor
    ) -> Hypotheses:
        """Generates for one batch of encoder inputs; call it inside a `tf.function`.

        Args:
            inputs: Encoder inputs by name.
            strategy: Such as `BeamSearch`.
            max_length: int. Tokens at most, the end token included.

        Raises:
            ValueError: If the decoder's state has no room for `max_length` tokens.
        """
        if isinstance(max_length, int):
            _check_length(self.decoder, max_length)
        weights = [(weight, tf.convert_to_tensor(weight)) for weight in self.weights]
        # Weights are read here once, not in the body of the loop at every step.
        with keras.StatelessScope(state_mapping=weights):
            return decode(
                self.step,
                self.encode(inputs),
                strategy,
                max_length=max_length,
                start_id=self.start_id,
                rules=[SuppressTokens([PAD_ID, self.start_id])],
            )

    def strategy(
        self, num_beams: int = 1, num_hypotheses: int = 1, length_penalty: float = 0.0
    ) -> Strategy:
        """Greedy search for one beam, else beam search; see `generate` for the arguments."""
        if num_beams < 1 or not 1 <= num_hypotheses <= num_beams:
            raise InputError(
                "The beam size must be at least 1, and the n-best from 1 to the beam size. "
                f"Received: beam size {num_beams}, n-best {num_hypotheses}."
            )
        if not length_penalty >= 0:
            raise InputError(
                f"The length penalty must be at least 0. Received: {length_penalty}."
            )
        if num_beams == 1:
            return GreedySearch(self.end_id)
        return BeamSearch(
            num_beams, self.end_id, num_hypotheses, length_penalty=LengthPenalty(length_penalty)
        )

    @property
    def start_id(self) -> int:
        """Id of the token that begins every target."""
        return START_ID if self._preprocessor is None else self._target.start_token_id

    @property
    def end_id(self) -> int:
        """Id of the token that ends every target."""
        return END_ID if self._preprocessor is None else self._target.end_token_id

    @property
    def _target(self) -> Any:
        return self.preprocessor.target_tokenizer

    @property
    def max_length(self) -> int:
        """Tokens of a generated target at most, the end token included."""
        return self.preprocessor.max_target_length + 1

    def generate(
        self,
        sources: str | Sequence[str],
        *,
        num_beams: int = 1,
        length_penalty: float = 0.0,
        batch_size: int = 256,
    ) -> str | list[str]:
        """Generates the best target text of each source text.

        Args:
            sources: A string or a list of strings.
            num_beams: int. 1 (default) is greedy search, more is beam search.
            length_penalty: float, at least 0; see `keras_seq2seq.decoding.LengthPenalty`.
            batch_size: int. Sources that are decoded together. Defaults to 256.

        Returns:
            A string for a string, else a list in the order of the sources.

        Raises:
            InputError: If a source is empty or too long, or a setting is out of range.
        """
        lines = [sources] if isinstance(sources, str) else list(sources)
        hypotheses = self.search(
            lines, num_beams=num_beams, length_penalty=length_penalty, batch_size=batch_size
        )
        texts = [row[0] for row in self.texts(hypotheses)]
        return texts[0] if isinstance(sources, str) else texts

    def search(
        self,
        sources: Sequence[str],
        *,
        num_beams: int = 1,
        num_hypotheses: int = 1,
        length_penalty: float = 0.0,
        batch_size: int = 256,
    ) -> Hypotheses:
        """Like `generate`, with ids, lengths, log probabilities and scores of the n best.

        Sources of similar length are decoded together, whatever their order.

        Returns:
            `Hypotheses` of NumPy arrays, rows in the order of the sources.
        """
        preprocessor = self.preprocessor
        preprocessor.check_sources(sources)
        settings = (num_beams, num_hypotheses, length_penalty)
        self.strategy(*settings)
        function = self._decode_functions(*settings)
        order = np.argsort([len(source) for source in sources], kind="stable")
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        parts = [function(tf.constant([sources[i] for i in batch])) for batch in batches]
        if not parts:
            empty = np.zeros((0, num_hypotheses))
            return Hypotheses(
                np.zeros((0, num_hypotheses, self.max_length), np.int32), empty, empty, empty
            )
        unsort = np.argsort(order, kind="stable")
        return Hypotheses(
            *(
                np.concatenate([t.numpy() for t in tensors])[unsort]
                for tensors in zip(*parts, strict=True)
            )
        )

    def texts(self, hypotheses: Hypotheses) -> list[list[str]]:
        """The target texts of hypotheses, a list a source."""
        texts = self._target.detokenize(hypotheses.token_ids).numpy()
        return [[text.decode("utf-8", "replace") for text in row] for row in texts]

    def _build_decode_function(
        self, num_beams: int, num_hypotheses: int, length_penalty: float
    ) -> Any:
        strategy = self.strategy(num_beams, num_hypotheses, length_penalty)

        # One trace for every batch size and length.
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        def function(sources):
            inputs = self.preprocessor.encoder_inputs(sources)
            return self.decode(inputs, strategy, self.max_length)

        return function

    def encoder_spec(self, batch_size: int | None = None) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of the encoder inputs."""
        return {
            tensor.name: tf.TensorSpec(
                (batch_size, *tensor.shape[1:]), tensor.dtype, tensor.name
            )
            for tensor in self.encoder_model.inputs
        }

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """`log P(target | source)` of each pair of strings, `(batch,)`, float32."""
        self.preprocessor.check_sources(sources)
        inputs, labels, _ = self.preprocessor(list(sources), list(targets))
        return self.score_tokens(inputs, labels).numpy().sum(-1)

    def score_tokens(self, inputs: dict[str, Any], labels: Any) -> tf.Tensor:
        """Training inputs and labels -> log probability of each label `(batch, length)`."""
        return score_tokens(self(inputs, training=False), labels)

    def align(self, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """Attention weights with teacher forcing, `(batch, target_length,
        source_length)`: the weights that stepping through the same target gives.

        Raises:
            InputError: If the model has no attention.
        """
        if self.alignment_model is None:
            raise InputError("This model has no attention, so there is no alignment to show.")
        self.preprocessor.check_sources(sources)
        inputs, _, _ = self.preprocessor(list(sources), list(targets))
        return np.asarray(self.alignment_model(inputs, training=False))

    def get_config(self) -> dict[str, Any]:
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "preprocessor": keras.saving.serialize_keras_object(self._preprocessor),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Seq2Seq":
        parts = {
            key: keras.saving.deserialize_keras_object(value, custom_objects)
            for key, value in config.items()
            if key != "name"
        }
        return cls(**parts, name=config["name"])


def load_model(path: str | Path) -> Seq2Seq:
    """Loads a saved `Seq2Seq` with its weights and preprocessor, ready to generate.

    Args:
        path: A `.keras` file.

    Raises:
        InputError: If there is no such file, or it holds no `Seq2Seq`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give a .keras file of a saved model.")
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds for a broken file.
        reason = (
            str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        )
        raise InputError(f"{path} cannot be loaded as a model: {reason[:200]}") from error
    if not isinstance(model, Seq2Seq):
        raise InputError(f"{path} holds a {type(model).__name__}, not a Seq2Seq model.")
    return model


def _check_length(decoder: Decoder, max_length: int) -> None:
    if decoder.max_length is not None and max_length > decoder.max_length:
        raise ValueError(
            "The decoder's `max_length` must hold the longest target with its end token. "
            f"Received: max_length={decoder.max_length}, {max_length} tokens to generate."
        )


def _check_vocabulary_sizes(
    encoder: Encoder, decoder: Decoder, preprocessor: TextPreprocessor
) -> None:
    sizes = {
        "source": (getattr(encoder, "vocabulary_size", None), preprocessor.source_tokenizer),
        "target": (decoder.vocabulary_size, preprocessor.target_tokenizer),
    }
    for side, (size, tokenizer) in sizes.items():
        if size is not None and size != tokenizer.vocabulary_size():
            raise ValueError(
                f"The {side} vocabulary size of the model and of its preprocessor differ. "
                f"Received: {size} and {tokenizer.vocabulary_size()}."
            )
