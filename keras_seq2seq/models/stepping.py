"""A search that Python runs token by token, in graphs that are made once a structure."""

import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from keras_seq2seq.decoding import Search, Snapshot, value_specs
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.special_tokens import PAD_ID


class Stepping:
    """Two graphs: one gives what a search starts from, the other goes one step further.

    Args:
        model: An `IdGeneration` with a preprocessor.
        structure: As of `structure_of`.
        with_prefixes: bool. Whether targets begin with given tokens.
    """

    def __init__(self, model: Any, structure: GenerationSettings, with_prefixes: bool):
        self._making = threading.Lock()
        self._step: Any = None
        specs: Any = None
        spec = [model.encoder_spec(), value_specs(structure), tf.TensorSpec([None], tf.string)]

        def search(given: dict[str, Any]) -> Search:
            prefix_ids = None
            if with_prefixes:
                prefix_ids = tf.RaggedTensor.from_tensor(*given["prefixes"])
            return model._search_from(given["begin"], structure, prefix_ids, given["values"])

        @tf.function(input_signature=spec[: 2 + with_prefixes], autograph=False)
        def begin(inputs, values, prefixes=None):
            nonlocal specs
            with model._weights_read_once():
                ids = None
                given = {"values": values}
                if with_prefixes:
                    ids = model.preprocessor.target_tokenizer.tokenize(prefixes)
                    given["prefixes"] = (ids.to_tensor(PAD_ID), ids.row_lengths())
                given["begin"] = model._begin(inputs, structure, values, ids)
                loop = search(given).loop()
                specs = loop.specs
                return given, loop.variables, loop.goes_on(*loop.variables)

        def make_step() -> Any:
            given = tf.nest.map_structure(
                lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype),
                begin.get_concrete_function().structured_outputs[0],
            )

            @tf.function(input_signature=[given, specs], autograph=False)
            def step(given, variables):
                with model._weights_read_once():
                    going_on = search(given)
                    loop = going_on.loop()
                    variables = loop.body(*variables)
                    return going_on.snapshot(variables), variables, loop.goes_on(*variables)

            return step

        self._begin, self._make_step = begin, make_step

    def run(self, *arguments: Any) -> Iterator[Snapshot]:
        """Inputs, values and prefixes of one batch -> a snapshot after every step."""
        given, variables, goes_on = self._begin(*arguments)
        with self._making:
            self._step = self._step or self._make_step()
        while goes_on:
            snapshot, variables, goes_on = self._step(given, variables)
            yield snapshot
