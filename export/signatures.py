"""What every artefact offers: one definition of the signatures for all formats.

An artefact is a contract. The names below are those of the inputs and outputs of the
SavedModel and of the `.tflite` file; a client is written against them.

serving_default, text   in   text: string (B,)
                        out  text, log_probs, scores, length: (B, H);
                             token_ids, token_log_probs: (B, H, L); alignments: (B, H, L, S);
                             error: string (B,)
generate                in   text; prefix: string (B,) or (1,); max_length: int32 ();
                             of a beam search n_best: int32 () and length_penalty: float32 ();
                             of sampling n_best, temperature: float32 () and seed: int32 ()
                        out  as serving_default
serving_default, ids    in   encoder inputs by name
                        out  as above without text
score                   in   source, target: string (B,)
                        out  log_probs: (B,); token_log_probs: (B, T); error: string (B,)
encode                  in   as serving_default
                        out  the decoder's initial state by name
decode_step             in   token: int32 (B,); the state by name
                        out  logits: (B, V); alignment: (B, S); the entries that changed

`B` batch, `H` hypotheses (best first), `L` the greatest length with the end token, `S` and `T`
source and target length. `length` counts tokens before the end token; `log_probs` is
`log P(target | source)`, the sum of `token_log_probs`; hypotheses are ordered by `scores`.
`alignments` is there where the settings record them. `error` says why a source has
no answer; it is empty where there is one.
"""

import dataclasses
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

    def generate(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.outputs(self.model.generate_ids(inputs, self.settings))

    def outputs(self, hypotheses: Hypotheses) -> dict[str, tf.Tensor]:
        """The hypotheses under the names of the contract."""
        outputs = {
            "token_ids": hypotheses.token_ids,
            "length": hypotheses.lengths,
            "log_probs": hypotheses.log_probs,
            "scores": hypotheses.scores,
            "token_log_probs": hypotheses.token_log_probs,
        }
        # A client that gets ids needs the alignments to replace unknown tokens itself.
        if self.settings.alignments or self.settings.replace_unknown:
            outputs["alignments"] = hypotheses.alignments
        return outputs

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

    NAMES = ("serving_default", "generate", "score", "encode", "decode_step")

    def functions(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        def strings(name: str) -> tf.TensorSpec:
            return tf.TensorSpec([self.batch_size], tf.string, name)

        return {
            "serving_default": _signature(self.generate_text, {"text": strings("text")}),
            "generate": self.request_signature(),
            "score": _signature(
                self.score, {"source": strings("source"), "target": strings("target")}
            ),
            "encode": _signature(self.encode_text, {"text": strings("text")}),
            "decode_step": _signature(self.decode_step, self.step_spec()),
        }

    def generate_text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs, error = self.fitting_inputs(text)
        least, most = self.model.length_range(inputs, self.settings)
        error = _first(error, _length_error(least, most))
        hypotheses = self.model.generate_ids(inputs, self.settings)
        return _answered(self.text_outputs(text, hypotheses), error)

    def text_outputs(self, text: tf.Tensor, hypotheses: Hypotheses) -> dict[str, tf.Tensor]:
        sources = text if self.settings.replace_unknown else None
        return {
            "text": self.model.detokenize(hypotheses, sources),
            **self.outputs(hypotheses),
        }

    def request_signature(self) -> Any:
        """The `tf.function` of `generate`: inputs that a request may leave out.

        The defaults are those of the settings; a SavedModel keeps them in its graph.
        """
        settings = self.settings
        no_prefix = tf.constant([""])
        max_length = tf.constant(self.model.check_settings(settings) - 1)
        n_best = tf.constant(settings.num_hypotheses)
        length_penalty = tf.constant(settings.length_penalty, tf.float32)
        temperature = tf.constant(settings.temperature, tf.float32)
        seed = tf.constant(settings.seed)

        def greedy(text, prefix=no_prefix, max_length=max_length):
            return self.generate_request(text, prefix, {"max_length": max_length})

        def beam(
            text,
            prefix=no_prefix,
            max_length=max_length,
            n_best=n_best,
            length_penalty=length_penalty,
        ):
            request = {"max_length": max_length, "length_penalty": length_penalty}
            return self.generate_request(text, prefix, request, n_best)

        def sample(
            text,
            prefix=no_prefix,
            max_length=max_length,
            n_best=n_best,
            temperature=temperature,
            seed=seed,
        ):
            request = {"max_length": max_length, "temperature": temperature, "seed": seed}
            return self.generate_request(text, prefix, request, n_best)

        function = sample if settings.sample else beam if settings.num_beams > 1 else greedy
        spec = [
            tf.TensorSpec([self.batch_size], tf.string, "text"),
            tf.TensorSpec([None], tf.string, "prefix"),
            *(
                tf.TensorSpec([], default.dtype)
                for default in (function.__defaults__ or ())[1:]
            ),
        ]
        return tf.function(function, input_signature=spec, autograph=False)

    def generate_request(
        self,
        text: tf.Tensor,
        prefix: tf.Tensor,
        request: dict[str, tf.Tensor],
        n_best: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """`generate_text` with what a request changes.

        A scalar that is out of range fails the request; a prefix that does not fit is the
        `error` of its source.
        """
        settings = self.settings
        if not settings.sample:
            # All that the beam holds; the request says how many of them come out.
            settings = dataclasses.replace(settings, num_hypotheses=settings.num_beams)
        checks = self.check_request(settings, request, n_best)
        with tf.control_dependencies(checks):
            inputs, error = self.fitting_inputs(tf.identity(text))
        tokenizer = self.model.preprocessor.target_tokenizer
        prefix_ids = tokenizer.tokenize(tf.broadcast_to(prefix, tf.shape(text)))
        least, most = self.model.length_range(inputs, settings, request["max_length"])
        is_unknown = tf.cast(prefix_ids == tokenizer.unknown_token_id, tf.int32)
        is_long = tf.cast(prefix_ids.row_lengths(), tf.int32) > most
        error = _first(
            error,
            _length_error(least, most),
            tf.where(
                tf.reduce_sum(is_unknown, axis=1) > 0,
                "the prefix has a token that the target vocabulary lacks",
                "",
            ),
            tf.where(is_long, "the prefix has more tokens than the target may have", ""),
        )
        hypotheses = self.model.generate_ids(
            inputs, settings, prefix_ids=prefix_ids, request=request
        )
        if n_best is not None:
            hypotheses = Hypotheses(
                *(None if tensor is None else tensor[:, :n_best] for tensor in hypotheses)
            )
        return _answered(self.text_outputs(text, hypotheses), error)

    def check_request(
        self,
        settings: GenerationSettings,
        request: dict[str, tf.Tensor],
        n_best: tf.Tensor | None,
    ) -> list[Any]:
        """Operations that fail a request whose scalars are out of range."""
        longest = self.model.check_settings(settings) - 1
        max_length = request["max_length"]
        checks = [
            _require(
                (max_length >= 1) & (max_length <= longest),
                f"max_length must be from 1 to {longest}",
            )
        ]
        if n_best is not None:
            most = settings.num_hypotheses
            checks.append(
                _require((n_best >= 1) & (n_best <= most), f"n_best must be from 1 to {most}")
            )
        if "length_penalty" in request:
            penalty = request["length_penalty"]
            checks.append(_require(tf.math.is_finite(penalty), "length_penalty must be finite"))
            if settings.length_rule != "reward":
                checks.append(_require(penalty >= 0, "length_penalty must be at least 0"))
        if "temperature" in request:
            temperature = request["temperature"]
            checks += [
                _require(
                    (temperature > 0) & tf.math.is_finite(temperature),
                    "temperature must be above 0",
                ),
                _require(request["seed"] >= 0, "seed must be at least 0"),
            ]
        return checks

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
    nothing = {"text": "", "log_probs": -1e9, "scores": -1e9}
    for name, tensor in outputs.items():
        fits = tf.reshape(error == "", [-1] + [1] * (len(tensor.shape) - 1))
        none = tf.constant(nothing.get(name, 0), tensor.dtype)
        outputs[name] = tf.where(fits, tensor, none)
    return outputs | {"error": error}


def _require(holds: tf.Tensor, message: str) -> Any:
    """An operation that fails the request unless it holds."""
    return tf.debugging.Assert(holds, [message])


def _first(error: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
    """Of each row the first error that is not empty."""
    for other in others:
        error = tf.where(error == "", other, error)
    return error


def _length_error(least: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    numbers = [tf.strings.as_string(number) for number in (least, most)]
    message = tf.strings.join(
        ["the target would need at least ", numbers[0], " and at most ", numbers[1], " tokens"]
    )
    return tf.where(least > most, message, "")


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
            **source.description,
            "append": source.end_token_id,
            "unknown": source.unknown_token_id,
        },
        "target": {
            **target.description,
            "separator": target.separator,
            "start": target.start_token_id,
            "end": target.end_token_id,
            "padding": target.pad_token_id,
            "unknown": target.unknown_token_id,
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
