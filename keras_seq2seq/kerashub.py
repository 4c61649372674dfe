"""KerasHub's BART and T5 in this package's loop: beam search, rules, one exported artefact."""

from types import SimpleNamespace
from typing import Any

import tensorflow as tf
from keras import ops

from keras_seq2seq.models.generation import TextGeneration
from keras_seq2seq.models.parts import State


class Seq2SeqLMGeneration(TextGeneration):
    """Generates with KerasHub's `BartSeq2SeqLM` or `T5Seq2SeqLM` through `encode` and `step`.

    Works on token ids; KerasHub's own preprocessor makes them of strings.

    Args:
        model: The `keras_hub.models.BartSeq2SeqLM` or `T5Seq2SeqLM`.
        max_length: int. Tokens to generate at most, the end token included.
        start_id: int. The token before the first; BART's is its end token, T5's its padding.
        end_id: int. The token that ends a target.

    Raises:
        ValueError: If `max_length` is below 1 or above what BART's positions hold.

    Example:

    ```python
    generation = Seq2SeqLMGeneration(bart, max_length=20, start_id=2, end_id=2)
    hypotheses = generation.decode(inputs, BeamSearch(4, end_id=2), 20, rules=[])
    ```
    """

    def __init__(self, model: Any, max_length: int, start_id: int, end_id: int):
        # T5's positions are relative: there is no last one.
        longest = getattr(model.backbone, "max_sequence_length", None)
        if max_length < 1 or (longest is not None and max_length > longest):
            raise ValueError(
                f"`max_length` must be in [1, {longest or 'any number'}], the positions of the "
                f"model. Received: max_length={max_length}."
            )
        self.model = model
        self.weights = model.weights
        self.alignment_model = None
        self._preprocessor = None
        self._longest, self._start_id, self._end_id = max_length, start_id, end_id
        self.decoder: Any = SimpleNamespace(
            vocabulary_size=model.backbone.vocabulary_size, max_length=max_length
        )

    @property
    def start_id(self) -> int:
        return self._start_id

    @property
    def end_id(self) -> int:
        return self._end_id

    @property
    def max_length(self) -> int:
        return self._longest

    def encoder_spec(self, batch_size: int | None = None) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of the inputs of `encode`."""
        return {
            name: tf.TensorSpec((batch_size, None), dtype, name)
            for name, dtype in (
                ("encoder_token_ids", tf.int32),
                ("encoder_padding_mask", tf.int32),
            )
        }

    def encode(self, inputs: dict[str, Any]) -> State:
        """`encoder_token_ids` and `encoder_padding_mask`, `(batch, source_length)` ->
        the state: both caches, batch first, and the position."""
        mask = inputs["encoder_padding_mask"]
        hidden = self.model.call_encoder(inputs["encoder_token_ids"], mask)
        # KerasHub fills the cache of the source with a pass over target tokens of any value.
        tokens = ops.zeros((ops.shape(hidden)[0], self._longest), "int32")
        self_cache, cross_cache = self.model._initialize_cache(hidden, tokens)
        *_, cross_cache = self.model.call_decoder_with_cache(
            hidden, mask, tokens, self_cache, 0, cross_cache, 0
        )
        return {
            "memory": hidden,
            "memory_mask": mask,
            "cross_cache": self._flat(cross_cache),
            "self_cache": self._flat(self_cache),
            "position": ops.zeros_like(tokens[:, 0]),
        }

    def step(self, token: Any, state: State) -> tuple[Any, State]:
        """`(batch,)` token ids and state -> logits and the entries that changed."""
        position = state["position"]
        logits, _, self_cache, _ = self.model.call_decoder_with_cache(
            state["memory"],
            state["memory_mask"],
            ops.convert_to_tensor(token, "int32")[:, None],
            self._whole(state["self_cache"]),
            position[0],  # All rows are at the same step.
            self._whole(state["cross_cache"]),
            None,
        )
        return logits[:, 0], {"self_cache": self._flat(self_cache), "position": position + 1}

    # TFLite repeats tensors of five dimensions at most; KerasHub's caches have six.

    def _flat(self, cache: Any) -> Any:
        """`(batch, layers, 2, length, heads, dim)` -> `(batch, 2 layers, length, hidden)`."""
        _, layers, _, _, heads, dim = cache.shape
        return ops.reshape(cache, (-1, 2 * layers, ops.shape(cache)[3], heads * dim))

    def _whole(self, cache: Any) -> Any:
        layers, heads = self.model.backbone.num_layers, self.model.backbone.num_heads
        length, size = ops.shape(cache)[2], cache.shape[3]
        return ops.reshape(cache, (-1, layers, 2, length, heads, size // heads))
