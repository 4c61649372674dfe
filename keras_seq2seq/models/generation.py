"""Generation with anything that can `encode` and `step`: ids, strings, scores, alignment."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.data.preprocessor import TextPreprocessor
from keras_seq2seq.decoding import (
    Hypotheses,
    Rule,
    Strategy,
    SuppressTokens,
    build_rules,
    build_strategy,
    decode,
    score_tokens,
    stream,
)
from keras_seq2seq.errors import InputError
from keras_seq2seq.models.parts import Decoder, State
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.special_tokens import END_ID, PAD_ID, START_ID, UNKNOWN_ID


class TextGeneration:
    """What a model gains that has the attributes below; mixed into `Seq2Seq`."""

    decoder: Decoder
    weights: list[Any]
    alignment_model: Any
    _preprocessor: TextPreprocessor | None
    # A cache around `_build_decode_function`; not a dictionary, which TensorFlow would try to
    # save with the model.
    _decode_functions: Any

    def encode(self, inputs: dict[str, Any]) -> State:
        """Encoder inputs -> initial state of the decoder."""
        raise NotImplementedError(f"{type(self).__name__} has no `encode`.")

    def step(self, token: Any, state: State) -> tuple[Any, State]:
        """`(batch,)` token ids and state -> logits and the entries that changed."""
        raise NotImplementedError(f"{type(self).__name__} has no `step`.")

    @property
    def preprocessor(self) -> TextPreprocessor:
        """From strings to ids and back; `InputError` if the model was built without."""
        if self._preprocessor is None:
            raise InputError(
                "This model has no preprocessor, so it cannot take strings. Build it with "
                "`Seq2Seq(encoder, decoder, preprocessor=...)`, or call `decode` with ids."
            )
        return self._preprocessor

    def decode(
        self,
        inputs: dict[str, Any],
        strategy: Strategy,
        max_length: int | tf.Tensor,
        rules: Sequence[Rule] | None = None,
    ) -> Hypotheses:
        """Generates for one batch of encoder inputs; call it inside a `tf.function`.

        Args:
            inputs: Encoder inputs by name.
            strategy: Such as `BeamSearch`.
            max_length: int. Tokens at most, the end token included.
            rules: Defaults to suppressing padding and the start token.

        Raises:
            InputError: If the decoder's state has no room for `max_length` tokens.
        """
        if isinstance(max_length, int):
            check_length(self.decoder, max_length)
        if rules is None:
            rules = [SuppressTokens([PAD_ID, self.start_id])]
        weights = [(weight, tf.convert_to_tensor(weight)) for weight in self.weights]
        # Weights are read here once, not in the body of the loop at every step.
        with keras.StatelessScope(state_mapping=weights):
            return decode(
                self.step,
                self.encode(inputs),
                strategy,
                max_length=max_length,
                start_id=self.start_id,
                rules=rules,
            )

    def generate_ids(self, inputs: dict[str, Any], settings: GenerationSettings) -> Hypotheses:
        """`decode` with the strategy, rules and length of `settings`."""
        max_length = self.check_settings(settings)
        strategy = build_strategy(settings, self.end_id)
        return self.decode(inputs, strategy, max_length, self._rules(settings))

    def _rules(self, settings: GenerationSettings) -> list[Rule]:
        return build_rules(
            settings,
            end_id=self.end_id,
            start_id=self.start_id,
            pad_id=PAD_ID,
            unknown_id=UNKNOWN_ID,
        )

    def stream(
        self, source: str, settings: GenerationSettings | None = None, **changes: Any
    ) -> Iterator[str]:
        """Generates the target of one source, token by token, for interactive use.

        Args:
            source: Source string.
            settings: `GenerationSettings`. Defaults to greedy search.
            **changes: Fields of `GenerationSettings`.

        Yields:
            The target so far after every token (of a beam search, of its best live
            hypothesis), and at last what `generate` returns.

        Raises:
            InputError: As `generate`, before the first token.
        """
        settings = dataclasses.replace(settings or GenerationSettings(), **changes)
        max_length = self.check_settings(settings)
        self.preprocessor.check_sources([source])
        steps = stream(
            self.step,
            self.encode(self.preprocessor.encoder_inputs([source])),
            build_strategy(settings, self.end_id),
            max_length=max_length,
            start_id=self.start_id,
            rules=self._rules(settings),
        )
        return (
            self._target.detokenize(token_ids[0, 0]).numpy().decode("utf-8", "replace")
            for token_ids in steps
        )

    def check_settings(self, settings: GenerationSettings) -> int:
        """Tokens at most, the end token included.

        Raises:
            InputError: If the settings do not fit this model.
        """
        if settings.num_beams > self.decoder.vocabulary_size:
            raise InputError(
                f"The beam size is {settings.num_beams}, the target vocabulary has only "
                f"{self.decoder.vocabulary_size} tokens. Use a smaller beam."
            )
        max_length = self.max_length if settings.max_length is None else settings.max_length + 1
        check_length(self.decoder, max_length)
        if settings.min_length >= max_length:
            raise InputError(
                f"--min-length is {settings.min_length}, this model generates at most "
                f"{max_length - 1} tokens."
            )
        return max_length

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
        settings: GenerationSettings | None = None,
        *,
        batch_size: int = 256,
        **changes: Any,
    ) -> str | list[str]:
        """Generates the best target text of each source text.

        Args:
            sources: A string or a list of strings.
            settings: `GenerationSettings`. Defaults to greedy search.
            batch_size: int. Sources that are decoded together. Defaults to 256.
            **changes: Fields of `GenerationSettings`, such as `num_beams=4`.

        Returns:
            A string for a string, else a list in the order of the sources.

        Raises:
            InputError: If a source is empty or too long, or a setting is out of range.
        """
        lines = [sources] if isinstance(sources, str) else list(sources)
        hypotheses = self.search(lines, settings, batch_size=batch_size, **changes)
        texts = [row[0] for row in self.texts(hypotheses)]
        return texts[0] if isinstance(sources, str) else texts

    def search(
        self,
        sources: Sequence[str],
        settings: GenerationSettings | None = None,
        *,
        batch_size: int = 256,
        **changes: Any,
    ) -> Hypotheses:
        """Like `generate`, with ids, lengths, log probabilities and scores of the n best.

        Sources of similar length are decoded together, whatever their order.

        Returns:
            `Hypotheses` of NumPy arrays, rows in the order of the sources.
        """
        settings = dataclasses.replace(settings or GenerationSettings(), **changes)
        max_length = self.check_settings(settings)
        self.preprocessor.check_sources(sources)
        function = self._decode_functions(settings)
        order = np.argsort([len(source) for source in sources], kind="stable")
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        parts = [function(tf.constant([sources[i] for i in batch])) for batch in batches]
        if not parts:
            empty = np.zeros((0, settings.num_hypotheses))
            token_ids = np.zeros((0, settings.num_hypotheses, max_length), np.int32)
            return Hypotheses(token_ids, empty, empty, empty)
        unsort = np.argsort(order, kind="stable")
        return Hypotheses(
            *(
                np.concatenate([tensor.numpy() for tensor in tensors])[unsort]
                for tensors in zip(*parts, strict=True)
            )
        )

    def texts(self, hypotheses: Hypotheses) -> list[list[str]]:
        """The target texts of hypotheses, a list a source."""
        texts = self._target.detokenize(hypotheses.token_ids).numpy()
        return [[text.decode("utf-8", "replace") for text in row] for row in texts]

    def _build_decode_function(self, settings: GenerationSettings) -> Any:
        # One trace for every batch size and length.
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        def function(sources):
            return self.generate_ids(self.preprocessor.encoder_inputs(sources), settings)

        return function

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """`log P(target | source)` of each pair of strings, `(batch,)`, float32."""
        self.preprocessor.check_sources(sources)
        inputs, labels, _ = self.preprocessor(list(sources), list(targets))
        return self.score_tokens(inputs, labels).numpy().sum(-1)

    def score_tokens(self, inputs: dict[str, Any], labels: Any) -> tf.Tensor:
        """Training inputs and labels -> log probability of each label `(batch, length)`."""
        logits = self(inputs, training=False)  # type: ignore[operator]
        return score_tokens(logits, labels)

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


def check_length(decoder: Decoder, max_length: int) -> None:
    """Raises `InputError` if the decoder's state has no room for `max_length` tokens."""
    if decoder.max_length is not None and max_length > decoder.max_length:
        raise InputError(
            "The decoder's `max_length` must hold the longest target with its end token. "
            f"Received: max_length={decoder.max_length}, {max_length} tokens to generate."
        )
