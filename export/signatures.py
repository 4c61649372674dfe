"""What every artefact offers: one definition of the signatures for all formats.

An artefact is a contract. The names below are those of the inputs and outputs of the
SavedModel and of the `.tflite` file; a client is written against them.

serving_default, text   in   text: string (B,)
                        out  text, log_probs, scores, length: (B, H); error: string (B,)
serving_default, ids    in   encoder inputs by name
                        out  token_ids: (B, H, L); length, log_probs, scores: (B, H)
score                   in   source, target: string (B,)
                        out  log_probs: (B,); token_log_probs: (B, T); error: string (B,)
encode                  in   as serving_default
                        out  the decoder's initial state by name
decode_step             in   token: int32 (B,); the state by name
                        out  logits: (B, V); alignment: (B, S); the entries that changed

`B` batch, `H` hypotheses (best first), `L` the model's maximum length, `T` target length.
`length` counts tokens before the end token; `log_probs` is `log P(target | source)`;
hypotheses are ordered by `scores`. `error` says why a source has no answer; it is empty where
there is one.
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

    A source that is empty or longer than the model's maximum has no answer: it is never cut.
    `serving_default` and `score` say so in `error`, so that the other sources of the batch,
    which a server may have taken from other requests, have theirs. `encode`, whose outputs
    are fed back, fails.
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
        inputs, error = self.fitting_inputs(text)
        hypotheses = self.search(inputs)
        tokenizer = self.model.preprocessor.target_tokenizer
        outputs = {
            "text": tokenizer.detokenize(hypotheses.token_ids),
            "length": hypotheses.lengths,
            "log_probs": hypotheses.log_probs,
            "scores": hypotheses.scores,
        }
        return _answered(outputs, error)

    def encode_text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs, error = self.fitting_inputs(text)
        errors = tf.boolean_mask(error, error != "")
        with tf.control_dependencies([tf.debugging.Assert(tf.size(errors) == 0, [errors])]):
            inputs = {name: tf.identity(tensor) for name, tensor in inputs.items()}
        return self.encode(**inputs)

    def score(self, source: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
        encoder_inputs, error = self.fitting_inputs(source)
        inputs, labels, _ = self.model.preprocessor(source, target)
        token_log_probs = self.model.score_tokens(inputs | encoder_inputs, labels)
        outputs = {
            "log_probs": tf.reduce_sum(token_log_probs, axis=-1),
            "token_log_probs": token_log_probs,
        }
        return _answered(outputs, error)

    def fitting_inputs(self, text: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Encoder inputs, and for each source why it does not fit, or an empty string.

        Of a source that does not fit one token remains, to keep its row.
        """
        preprocessor = self.model.preprocessor
        some = tf.debugging.Assert(tf.size(text) > 0, ["a request needs at least one source"])
        with tf.control_dependencies([some]):
            ids = preprocessor.tokenize_source(tf.identity(text))
        lengths = ids.row_lengths() - 1  # Without the end token.
        longest = preprocessor.max_source_length
        too_long = ["the source has ", f" tokens; this model takes at most {longest}"]
        error = tf.where(
            lengths > longest,
            tf.strings.join([too_long[0], tf.strings.as_string(lengths), too_long[1]]),
            tf.where(lengths < 1, "the source is empty; give it text", ""),
        )
        row = ids.value_rowids()
        position = tf.range(tf.size(row, tf.int64)) - tf.gather(ids.row_starts(), row)
        keep = tf.gather(error == "", row) | (position == 0)
        ids = tf.ragged.boolean_mask(ids, ids.with_values(keep))
        return preprocessor.pad_source(ids), error


def _answered(outputs: dict[str, tf.Tensor], error: tf.Tensor) -> dict[str, tf.Tensor]:
    """The outputs with `error`; rows with an error say that no hypothesis exists."""
    nothing = {tf.string: "", tf.float32: -1e9}
    for name, tensor in outputs.items():
        fits = tf.reshape(error == "", [-1] + [1] * (len(tensor.shape) - 1))
        none = tf.constant(nothing.get(tensor.dtype, 0), tensor.dtype)
        outputs[name] = tf.where(fits, tensor, none)
    return outputs | {"error": error}


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
