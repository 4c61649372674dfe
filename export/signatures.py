"""What every artefact offers: one definition of the signatures for all formats.

An artefact is a contract. The names below are those of the inputs and outputs of the
SavedModel and of the `.tflite` file; a client is written against them.

serving_default, text   in   text: string (B,); or features: float32 (B, S, F), or
                             waveform: float32 (B, N), with lengths: int32 (B,)
                        out  text, log_probs, scores, length: (B, H);
                             token_ids, token_log_probs: (B, H, L); alignments: (B, H, L, S);
                             error: string (B,)
generate                in   text; each with a default, (B,) or (1,): prefix: string;
                             max_length, n_best, seed: int32; length_penalty, temperature:
                             float32
                        out  as serving_default
serving_default, ids    in   encoder inputs by name
                        out  as above without text
score                   in   source (or features or waveform, and lengths); target: string (B,)
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
import inspect
from typing import Any

import tensorflow as tf

from keras_seq2seq.decoding import Hypotheses
from keras_seq2seq.models.answers import NOT_A_NUMBER
from keras_seq2seq.models.generation import TextGeneration
from keras_seq2seq.models.parts import TOKEN
from keras_seq2seq.serving.client import AS_EXPORTED
from keras_seq2seq.settings import GenerationSettings

from .request_options import DTYPES, resolve


class IdSignatures:
    """The signatures over ids; the batch size may be fixed.

    Args:
        model: The model.
        settings: How targets are generated.
        batch_size: int, or `None` for any.
        xla_threads: int. If positive, `serving_default` is compiled by XLA for them.
    """

    NAMES: tuple[str, ...] = ("serving_default", "encode", "decode_step")

    def __init__(
        self,
        model: TextGeneration,
        settings: GenerationSettings,
        batch_size: int | None = None,
        xla_threads: int = 0,
    ):
        self.model: Any = model
        self.batch_size = batch_size
        self.settings = settings
        self.xla_threads = xla_threads
        model.check_settings(settings)

    def functions(self) -> dict[str, Any]:
        """Functions by signature name, as `write_graph` takes them."""
        encoder_spec = self.model.encoder_spec(self.batch_size)
        return {
            "serving_default": _signature(self.generate, encoder_spec),
            "encode": _signature(self.encode, encoder_spec),
            "decode_step": _signature(self.decode_step, self.step_spec()),
        }

    def step_spec(self) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of the inputs of one step."""
        # Of the sizes that `encode` gives: what may grow has room for all positions.
        state = self.model.encoder_model.output
        return {TOKEN: tf.TensorSpec([self.batch_size], tf.int32, TOKEN)} | {
            name: tf.TensorSpec((self.batch_size, *tensor.shape[1:]), tensor.dtype, name)
            for name, tensor in state.items()
        }

    def generate(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.outputs(self.hypotheses(inputs))

    def hypotheses(self, inputs: dict[str, tf.Tensor]) -> Hypotheses:
        if self.xla_threads:
            return self.model.generate_ids_compiled(inputs, self.settings, self.xla_threads)
        # A fixed batch is for a converter, which needs the other sizes fixed too.
        fixed = self.batch_size is not None
        return self.model.generate_ids(
            inputs, self.settings, fixed_shapes=fixed, by_stages=(self.batch_size or 1) > 1
        )

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

    NAMES: tuple[str, ...] = ("serving_default", "generate", "score", "encode", "decode_step")

    def functions(self) -> dict[str, Any]:
        source = self.source_spec()
        return {
            "serving_default": _signature(self.generate_text, source),
            "generate": self.request_signature(),
            "score": _signature(self.score, self.score_spec()),
            "encode": _signature(self.encode_text, source),
            "decode_step": _signature(self.decode_step, self.step_spec()),
        }

    def source_spec(self) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of what a source is made of."""
        return {"text": self.strings("text")}

    def score_spec(self) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of the inputs of `score`."""
        return {"source": self.strings("source"), "target": self.strings("target")}

    def strings(self, name: str) -> tf.TensorSpec:
        return tf.TensorSpec([self.batch_size], tf.string, name)

    def generate_text(self, **source: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs, error = self.fitting_inputs(source)
        least, most = self.model.length_range(inputs, self.settings)
        error = _first(error, _length_error(least, most))
        hypotheses = self.hypotheses(inputs)
        error = _first(error, _none_error(hypotheses))
        return _answered(self.text_outputs(source, hypotheses), error)

    def text_outputs(
        self, source: dict[str, tf.Tensor], hypotheses: Hypotheses
    ) -> dict[str, tf.Tensor]:
        copied = source["text"] if self.settings.replace_unknown else None
        return {
            "text": self.model.detokenize(hypotheses, copied),
            **self.outputs(hypotheses),
        }

    def request_signature(self) -> Any:
        """The `tf.function` of `generate`: inputs that a request may leave out.

        A SavedModel keeps the defaults in its graph.
        """
        source = self.source_spec()
        defaults = {"prefix": tf.constant([""])} | {
            name: tf.constant([AS_EXPORTED[name]], dtype) for name, dtype in DTYPES.items()
        }
        empty = inspect.Parameter.empty
        signature = inspect.Signature(
            [
                inspect.Parameter(
                    name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=defaults.get(name, empty),
                )
                for name in (*source, *defaults)
            ]
        )

        def generate(*args: tf.Tensor, **kwargs: tf.Tensor) -> dict[str, tf.Tensor]:
            given = dict(signature.bind(*args, **kwargs).arguments)
            own = {name: given.pop(name) for name in source}
            return self.generate_request(own, given.pop("prefix"), given)

        # What TensorFlow and Keras take the names and the defaults from.
        generate.__signature__ = signature  # type: ignore[attr-defined]
        spec = [
            *source.values(),
            *(tf.TensorSpec([None], default.dtype) for default in defaults.values()),
        ]
        return tf.function(generate, input_signature=spec, autograph=False)

    def generate_request(
        self, source: dict[str, tf.Tensor], prefix: tf.Tensor, given: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """`generate_text` with what each source changes; what does not fit is its `error`."""
        settings, rows = self.settings, tf.shape(next(iter(source.values())))[:1]
        longest = self.model.check_settings(settings) - 1
        given = {name: tf.broadcast_to(value, rows) for name, value in given.items()}
        options, wrong = resolve(settings, longest, given)
        if not settings.sample:
            # All that the beam holds; each source says how many of them come out.
            settings = dataclasses.replace(settings, num_hypotheses=settings.num_beams)
        inputs, error = self.fitting_inputs(source)
        tokenizer = self.model.preprocessor.target_tokenizer
        prefix_ids = tokenizer.tokenize(tf.broadcast_to(prefix, rows))
        values: dict[str, tf.Tensor] = {"max_length": options["max_length"]}
        least, most = self.model.length_range(inputs, settings, values)
        is_unknown = tf.cast(prefix_ids == tokenizer.unknown_token_id, tf.int32)
        is_long = tf.cast(prefix_ids.row_lengths(), tf.int32) > most
        error = _first(
            error,
            wrong,
            _length_error(least, most),
            tf.where(
                tf.reduce_sum(is_unknown, axis=1) > 0,
                "the prefix has a token that the target vocabulary lacks",
                "",
            ),
            tf.where(is_long, "the prefix has more tokens than the target may have", ""),
        )
        n_best = options.pop("n_best")
        if settings.sample:
            values["temperature"] = options["temperature"][:, None, None]
            # One seed makes the noise of the whole batch.
            values["seed"] = tf.reduce_max(options["seed"])
        elif settings.num_beams > 1:
            values["length_penalty"] = options["length_penalty"][:, None]
        hypotheses = self.model.generate_ids(
            inputs, settings, prefix_ids=prefix_ids, values=values
        )
        outputs = self.text_outputs(source, hypotheses)
        shown = tf.range(tf.reduce_max(n_best))[None] < n_best[:, None]
        outputs = {name: tensor[:, : tf.shape(shown)[1]] for name, tensor in outputs.items()}
        return _answered(_where(shown, outputs), _first(error, _none_error(hypotheses)))

    def encode_text(self, **source: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs, error = self.fitting_inputs(source)
        errors = tf.boolean_mask(error, error != "")
        with tf.control_dependencies([tf.debugging.Assert(tf.size(errors) == 0, [errors])]):
            inputs = {name: tf.identity(tensor) for name, tensor in inputs.items()}
        return self.encode(**inputs)

    def score(self, target: tf.Tensor, **source: tf.Tensor) -> dict[str, tf.Tensor]:
        encoder_inputs, error = self.fitting_inputs(source)
        preprocessor = self.model.preprocessor
        target_ids = preprocessor.tokenize_target(target)
        inputs, labels, _ = preprocessor.pack_inputs(encoder_inputs, target_ids)
        token_log_probs = self.model.score_tokens(inputs, labels)
        log_probs = tf.reduce_sum(token_log_probs, axis=-1)
        outputs = {"log_probs": log_probs, "token_log_probs": token_log_probs}
        return _answered(outputs, _first(error, _nan_error(log_probs)))

    def fitting_inputs(
        self, source: dict[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Encoder inputs, and for each source why it does not fit, or an empty string.

        Of a source that does not fit one token remains, to keep its row.
        """
        preprocessor = self.model.preprocessor
        (text,) = source.values()
        some = tf.debugging.Assert(tf.size(text) > 0, ["a request needs at least one source"])
        with tf.control_dependencies([some]):
            ids = preprocessor.tokenize_source(tf.identity(text))
        lengths = ids.row_lengths() - 1  # Without the end token.
        longest = preprocessor.max_source_length
        too_long = ["the source has ", f" tokens; this model takes at most {longest}"]
        error = tf.where(
            lengths > longest,
            tf.strings.join([too_long[0], tf.strings.as_string(lengths), too_long[1]]),
            tf.where(
                lengths <= preprocessor.tokens_around, "the source is empty; give it text", ""
            ),
        )
        starts = ids.row_starts()
        kept = tf.ragged.range(starts, starts + tf.where(error == "", ids.row_lengths(), 1))
        ids = kept.with_values(tf.gather(ids.values, kept.values))
        return preprocessor.pad_source(ids), error


class GenerationSignatures(TextSignatures):
    """Strings to strings alone, of a model that can `encode` and `step` and is not ours."""

    NAMES = ("serving_default", "generate")

    def functions(self) -> dict[str, Any]:
        return {
            "serving_default": _signature(self.generate_text, self.source_spec()),
            "generate": self.request_signature(),
        }


def _answered(outputs: dict[str, tf.Tensor], error: tf.Tensor) -> dict[str, tf.Tensor]:
    """The outputs with `error`; rows with an error say that no hypothesis exists."""
    return _where(error == "", outputs) | {"error": error}


def _where(fits: tf.Tensor, outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The outputs, but what says that there is none where `fits` (first axes) is false."""
    nothing = {"text": "", "log_probs": -1e9, "scores": -1e9}
    result = {}
    for name, tensor in outputs.items():
        axes = [1] * (len(tensor.shape) - len(fits.shape))
        like = tf.reshape(fits, tf.concat([tf.shape(fits), tf.constant(axes, tf.int32)], 0))
        none = tf.constant(nothing.get(name, 0), tensor.dtype)
        result[name] = tf.where(like, tensor, none)
    return result


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


def _none_error(hypotheses: Hypotheses) -> tf.Tensor:
    """Why there is no best hypothesis, or an empty string."""
    best = hypotheses.log_probs[:, 0]
    none = tf.where(best < -5e8, "there is no target: the rules leave none that ends", "")
    return _first(_nan_error(best), none)


def _nan_error(log_probs: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.math.is_nan(log_probs), f"there is no target: {NOT_A_NUMBER}", "")


def describe(
    model: TextGeneration, settings: GenerationSettings, quantization: str, names: list[str]
) -> dict[str, Any]:
    """What a host must know to prepare the inputs and read the outputs."""
    preprocessor = model.preprocessor
    target = preprocessor.target_tokenizer
    return {
        "signatures": names,
        "quantization": quantization,
        "generation": settings.to_dict(),
        "max_source_length": preprocessor.max_source_length,
        "max_target_length": preprocessor.max_target_length,
        "source": _describe_source(preprocessor),
        "target": {
            **target.description,
            "separator": target.separator,
            "start": target.start_token_id,
            "end": target.end_token_id,
            "padding": target.pad_token_id,
            "unknown": target.unknown_token_id,
        },
    }


def _describe_source(preprocessor: Any) -> dict[str, Any]:
    if preprocessor.kind == "features":
        return {"kind": "features", "feature_shape": preprocessor.feature_shape}
    if preprocessor.kind == "waveform":
        return {"kind": "waveform", "sample_rate": preprocessor.sample_rate}
    tokenizer = preprocessor.source_tokenizer
    return {
        "kind": "text",
        **tokenizer.description,
        "append": tokenizer.end_token_id,
        "unknown": tokenizer.unknown_token_id,
    }


def _signature(function: Any, spec: dict[str, tf.TensorSpec]) -> Any:
    """The concrete function with one named argument a spec."""
    return tf.function(function, autograph=False).get_concrete_function(**spec)


def _named(tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Copies, so that an output that is an input (the memory's mask) has a name of its own."""
    return {name: tf.identity(tensor) for name, tensor in tensors.items()}
