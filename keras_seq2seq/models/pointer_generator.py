"""A decoder that can copy tokens of the source."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.copy_mixture import CopyMixture
from keras_seq2seq.models.parts import Decoder, DecoderOutput, EncoderOutput, State, Tensor

SOURCE_TOKEN_IDS = "source_token_ids"


@keras.saving.register_keras_serializable("keras_seq2seq")
class PointerGenerator(Decoder):
    """Another decoder, whose attention also points at source tokens to copy.

    Every step mixes the decoder's distribution over the vocabulary with its attention over
    the source (`keras_seq2seq.layers.CopyMixture`); a Transformer's is the mean over the heads
    of its last block. Encoder and decoder have one vocabulary, and the encoder keeps the
    positions of its tokens; there is no coverage loss. The end of the source can be copied
    too, which ends the target.

    Args:
        decoder: `RecurrentDecoder` with attention, or `TransformerDecoder`.

    State: that of the decoder, and `source_token_ids` `(batch, source_length)`, int32.

    Raises:
        InputError: If the decoder has no attention (when a model is made of it).

    Reference:
        [See et al., 2017](https://arxiv.org/abs/1704.04368), section 2.2.
    """

    copies_source = True

    @checked
    def __init__(self, decoder: Decoder):
        self.decoder = decoder
        self.embedding = decoder.embedding
        self.max_length = decoder.max_length
        self.name: str = getattr(decoder, "name", "decoder")
        self._mixture = CopyMixture(name=f"{self.name}_copy_mixture")

    def initial_state(self, encoder_output: EncoderOutput) -> State:
        if encoder_output.token_ids is None:
            raise InputError(
                "A PointerGenerator needs an encoder of tokens that keeps their positions: no "
                "frames, convolutions or time reduction."
            )
        state = self.decoder.initial_state(encoder_output)
        return {**state, SOURCE_TOKEN_IDS: encoder_output.token_ids}

    def shared_entries(self, state: State) -> Sequence[str]:
        return self.decoder.shared_entries(self._without_source(state))

    def position_entries(self, state: State) -> dict[str, int]:
        return self.decoder.position_entries(self._without_source(state))

    def __call__(self, token_ids: Tensor, state: State) -> DecoderOutput:
        output = self.decoder(token_ids, self._without_source(state))
        inputs = self.embedding.embed(token_ids)
        return self._mix(output, inputs, state, lambda tensor: tensor)

    def step(self, token: Tensor, state: State) -> DecoderOutput:
        output = self.decoder.step(token, self._without_source(state))
        inputs = self.embedding.embed(token)
        return self._mix(output, inputs, state, lambda tensor: keras.ops.expand_dims(tensor, 1))

    @staticmethod
    def _without_source(state: State) -> State:
        return {name: tensor for name, tensor in state.items() if name != SOURCE_TOKEN_IDS}

    def _mix(
        self, output: DecoderOutput, inputs: Tensor, state: State, as_sequence: Any
    ) -> DecoderOutput:
        """`as_sequence` gives one step a target axis of length 1."""
        if output.alignment is None or output.hidden is None:
            raise InputError("A PointerGenerator needs a decoder with attention.")
        hidden = keras.ops.cast(output.hidden, "float32")
        features = keras.ops.concatenate([hidden, keras.ops.cast(inputs, "float32")], axis=-1)
        logits = self._mixture(
            as_sequence(output.logits),
            keras.ops.cast(as_sequence(output.alignment), "float32"),
            as_sequence(features),
            state[SOURCE_TOKEN_IDS],
        )
        if len(output.logits.shape) == 2:
            logits = keras.ops.squeeze(logits, 1)
        return DecoderOutput(logits, output.alignment, output.state, output.hidden)

    def get_config(self) -> dict[str, Any]:
        return {"decoder": keras.saving.serialize_keras_object(self.decoder)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PointerGenerator":
        config = dict(config)
        # Of a model whose sides share embeddings: the object that the encoder has.
        shared = config.pop("embedding", None)
        inner = config["decoder"]
        if shared is None:
            return cls(keras.saving.deserialize_keras_object(inner))
        decoder_class = keras.saving.get_registered_object(inner["registered_name"])
        return cls(decoder_class.from_config({**inner["config"], "embedding": shared}))
