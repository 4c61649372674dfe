"""What every artefact offers: one definition of the signatures for all formats.

An artefact is a contract. The names below are those of the inputs and outputs of the
SavedModel and of the `.tflite` file; a client is written against them.

serving_default, text   in   text: string (B,)
                        out  text, log_probs, scores, length: (B, H)
serving_default, ids    in   encoder inputs by name
                        out  token_ids: (B, H, L); length, log_probs, scores: (B, H)
score                   in   source, target: string (B,)
                        out  log_probs: (B,); token_log_probs: (B, T)
encode                  in   as serving_default
                        out  the decoder's initial state by name
decode_step             in   token: int32 (B,); the state by name
                        out  logits: (B, V); alignment: (B, S); the entries that changed

`B` batch, `H` hypotheses (best first), `L` the model's maximum length, `T` target length.
`length` counts tokens before the end token; `log_probs` is `log P(target | source)`;
hypotheses are ordered by `scores`.
"""

from typing import Any

import tensorflow as tf

from keras_seq2seq.decoding import Hypotheses
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings


class IdSignatures:
    """The signatures over ids; the batch size may be fixed.

    Args:
        model: The model.
        settings: How targets are generated.
        batch_size: int, or `None` for any.
    """

    NAMES: tuple[str, ...] = ("serving_default", "encode", "decode_step")

    def __init__(
        self, model: Seq2Seq, settings: GenerationSettings, batch_size: int | None = None
    ):
        self.model = model
        self.batch_size = batch_size
        self.settings = settings
        model.check_settings(settings)

    def functions(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """`tf.function`s by signature name."""
        encoder_spec = self.model.encoder_spec(self.batch_size)
        return {
            "serving_default": _signature(self.generate, encoder_spec),
            "encode": _signature(self.encode, encoder_spec),
            "decode_step": _signature(self.decode_step, self.step_spec()),
        }

    def step_spec(self) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of the inputs of one step."""
        return {
            tensor.name: tf.TensorSpec(
                (self.batch_size, *tensor.shape[1:]), tensor.dtype, tensor.name
            )
            for tensor in self.model.decoder_model.inputs
        }

    def search(self, inputs: dict[str, tf.Tensor]) -> Hypotheses:
        return self.model.generate_ids(inputs, self.settings)

    def generate(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        hypotheses = self.search(inputs)
        return {
            "token_ids": hypotheses.token_ids,
            "length": hypotheses.lengths,
            "log_probs": hypotheses.log_probs,
            "scores": hypotheses.scores,
        }

    def encode(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return _named(self.model.encode(inputs))

    def decode_step(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return _named(self.model.decoder_model(inputs, training=False))


class TextSignatures(IdSignatures):
    """The signatures over strings: tokenizers and detokenizer are in the graph.

    A source that is empty or longer than the model's maximum fails the request with a
    message; it is never cut.
    """

    NAMES = ("serving_default", "score", "encode", "decode_step")

    def functions(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        def strings(name: str) -> tf.TensorSpec:
            return tf.TensorSpec([self.batch_size], tf.string, name)

        return {
            "serving_default": _signature(self.generate_text, {"text": strings("text")}),
            "score": _signature(
                self.score, {"source": strings("source"), "target": strings("target")}
            ),
            "encode": _signature(self.encode_text, {"text": strings("text")}),
            "decode_step": _signature(self.decode_step, self.step_spec()),
        }

    def generate_text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        hypotheses = self.search(self.encoder_inputs(text))
        tokenizer = self.model.preprocessor.target_tokenizer
        return {
            "text": tokenizer.detokenize(hypotheses.token_ids),
            "length": hypotheses.lengths,
            "log_probs": hypotheses.log_probs,
            "scores": hypotheses.scores,
        }

    def encode_text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.encode(**self.encoder_inputs(text))

    def score(self, source: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
        preprocessor = self.model.preprocessor
        inputs, labels, _ = preprocessor(source, target)
        inputs |= self.encoder_inputs(source)
        token_log_probs = self.model.score_tokens(inputs, labels)
        return {
            "log_probs": tf.reduce_sum(token_log_probs, axis=-1),
            "token_log_probs": token_log_probs,
        }

    def encoder_inputs(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        preprocessor = self.model.preprocessor
        ids = preprocessor.tokenize_source(text)
        # With the end token: 1 for an empty source.
        lengths = ids.row_lengths()
        longest = preprocessor.max_source_length + 1
        checks = [
            tf.debugging.assert_greater(
                lengths, tf.constant(1, tf.int64), "a source is empty; give it text"
            ),
            tf.debugging.assert_less_equal(
                lengths,
                tf.constant(longest, tf.int64),
                f"a source is longer than the {longest - 1} tokens this model takes",
            ),
        ]
        with tf.control_dependencies([check for check in checks if check is not None]):
            return {name: tf.identity(t) for name, t in preprocessor.pad_source(ids).items()}


def describe(
    model: Seq2Seq, settings: GenerationSettings, quantization: str, names: list[str]
) -> dict[str, Any]:
    """What a host must know to prepare the inputs and read the outputs."""
    preprocessor = model.preprocessor
    source, target = preprocessor.source_tokenizer, preprocessor.target_tokenizer
    return {
        "signatures": names,
        "quantization": quantization,
        "generation": settings.to_dict(),
        "max_source_length": preprocessor.max_source_length,
        "max_target_length": preprocessor.max_target_length,
        "source": {
            "split": type(source).__name__,
            "lowercase": source.lowercase,
            "append": source.end_token_id,
            "unknown": source.unknown_token_id,
        },
        "target": {
            "separator": target.separator,
            "start": target.start_token_id,
            "end": target.end_token_id,
            "padding": target.pad_token_id,
        },
    }


def _signature(function: Any, spec: dict[str, tf.TensorSpec]) -> Any:
    """A `tf.function` with one named argument a spec, traced."""
    traced = tf.function(function, autograph=False)
    traced.get_concrete_function(**spec)
    return traced


def _named(tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Copies, so that an output that is an input (the memory's mask) has a name of its own."""
    return {name: tf.identity(tensor) for name, tensor in tensors.items()}
