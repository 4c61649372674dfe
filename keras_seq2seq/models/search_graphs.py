"""The graphs that a model searches with: one for each structure of settings, kept."""

import threading
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.decoding import Hypotheses, num_threads, structure_of, value_specs
from keras_seq2seq.decoding.values import round_up
from keras_seq2seq.models.id_generation import IdGeneration
from keras_seq2seq.models.stepping import Stepping
from keras_seq2seq.settings import GenerationSettings

# TensorFlow's memory optimizer keeps sums of a large loop in variables of one name, so that
# calls from several Python threads at once would fail.
_ONE_AT_A_TIME = threading.Lock()

# Graphs that are kept at most, of the structures used last; each takes some MB.
MOST_GRAPHS = 32
# The same of settings, as tensors and as structures.
MOST_SETTINGS = 64

# What is asked first, of so few sources of at most so many tokens, is answered without a graph,
# which takes as long to make as some forty steps take one by one. After so many of them a graph
# answers after all.
FEW_SOURCES, FEW_TOKENS, FEW_STEPS = 8, 16, 20


class SearchGraphs(IdGeneration):
    """Adds graphs that take encoder inputs and the values of the settings as tensors."""

    # Caches around what makes graphs and tensors; not dictionaries, which TensorFlow would
    # try to save with the model.
    _graphs: Any
    _steppings: Any
    _fed_values: Any
    _structure_of: Any
    # From what makes a graph to a counter of the searches without it.
    _searches: Any

    def _begin_caches(self) -> None:
        self._searches = lru_cache(MOST_GRAPHS)(lambda structure, with_prefixes: count())
        self._graphs = lru_cache(MOST_GRAPHS)(self._build_decode_function)
        self._steppings = lru_cache(MOST_GRAPHS)(self._build_stepping)
        self._fed_values = lru_cache(MOST_SETTINGS)(self._tensors_of)
        self._structure_of = lru_cache(MOST_SETTINGS)(self._build_structure)

    def _decode_functions(
        self, settings: GenerationSettings, with_prefixes: bool, jit_compile: bool
    ) -> Any:
        """The graph that searches with these settings and all others of their structure."""
        structure = self._structure_of(settings, jit_compile)
        return self._graphs(structure, with_prefixes, jit_compile)

    def _build_structure(self, settings: GenerationSettings, fixed_shapes: bool) -> Any:
        longest = self.decoder.max_length
        longest = None if longest is None else longest - 1
        return structure_of(settings, fixed_shapes, longest, self.max_length - 1)

    def _tensors_of(
        self, settings: GenerationSettings, jit_compile: bool = False
    ) -> dict[str, tf.Tensor]:
        """The values that a graph is fed."""
        values = self.values(settings)
        if jit_compile and settings.allowed:
            values["allowed"] = pad_to_few_sizes(values["allowed"])
        specs = value_specs(self._structure_of(settings, jit_compile))
        return {name: tf.constant(values[name], spec.dtype) for name, spec in specs.items()}

    def _build_decode_function(
        self, structure: GenerationSettings, with_prefixes: bool, jit_compile: bool
    ) -> Any:
        # One trace for every batch size and length.
        spec = [self.encoder_spec(), value_specs(structure), tf.TensorSpec([None], tf.string)]

        @tf.function(input_signature=spec[: 2 + with_prefixes], autograph=False)
        def function(inputs, values, prefixes=None):
            if jit_compile:
                return self.generate_ids_compiled(inputs, structure, num_threads(), values)
            prefix_ids = self._target.tokenize(prefixes) if with_prefixes else None
            return self.generate_ids(inputs, structure, prefix_ids=prefix_ids, values=values)

        return function

    def _build_stepping(self, structure: GenerationSettings, with_prefixes: bool) -> Stepping:
        return Stepping(self, structure, with_prefixes)

    def _decode(
        self,
        sources: Sequence[Any],
        lengths: np.ndarray,
        settings: GenerationSettings,
        prefixes: Sequence[str] | None,
        batch_size: int,
        jit_compile: bool = False,
    ) -> Hypotheses:
        """`search` of sources that are known to fit, at least one."""
        function = self._decode_functions(settings, prefixes is not None, jit_compile)
        values = self._fed_values(settings, jit_compile)
        size = self._max_length(settings)
        order = np.argsort(lengths, kind="stable")
        batch_size = min(batch_size, self.preprocessor.rows_at_most(lengths))
        parts = []
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            arguments = [self.preprocessor.encoder_inputs([sources[i] for i in batch]), values]
            if prefixes is not None:
                arguments.append(tf.constant([prefixes[i] for i in batch]))
            found = self._decode_at_once(settings, lengths, jit_compile, arguments)
            if found is None:
                with _ONE_AT_A_TIME:
                    found = function(*arguments)
            arrays = [None if tensor is None else tensor.numpy() for tensor in found]
            parts.append(first_of(Hypotheses(*arrays), settings.num_hypotheses, size))
        return _join_batches(parts, np.argsort(order, kind="stable"))

    def _decode_at_once(
        self,
        settings: GenerationSettings,
        lengths: np.ndarray,
        jit_compile: bool,
        arguments: Sequence[Any],
    ) -> Hypotheses | None:
        """The first search of a structure without its graph, if it is short; else `None`."""
        if jit_compile or len(lengths) > FEW_SOURCES or lengths.max() > FEW_TOKENS:
            return None
        structure = self._structure_of(settings, False)
        if next(self._searches(structure, len(arguments) > 2)):
            return None
        inputs, values, *prefixes = arguments
        prefix_ids = self._target.tokenize(prefixes[0]) if prefixes else None
        return self.generate_few_steps(
            inputs, structure, FEW_STEPS, prefix_ids=prefix_ids, values=values
        )


def pad_to_few_sizes(table: np.ndarray) -> np.ndarray:
    """The rows with copies of the last and columns of padding: XLA compiles for each size."""
    rows, columns = map(round_up, table.shape)
    table = np.pad(table, [(0, 0), (0, columns - table.shape[1])])
    return np.pad(table, [(0, rows - len(table)), (0, 0)], mode="edge")


def first_of(found: Hypotheses, count: int, size: int | None = None) -> Hypotheses:
    """The `count` best, tokens up to `size`."""
    return Hypotheses(
        found.token_ids[:, :count, :size],
        found.lengths[:, :count],
        found.log_probs[:, :count],
        found.scores[:, :count],
        found.token_log_probs[:, :count, :size],
        None if found.alignments is None else found.alignments[:, :count, :size],
    )


def _join_batches(parts: Sequence[Hypotheses], order: np.ndarray) -> Hypotheses:
    """The batches as NumPy arrays one after the other, rows in the given order."""
    return Hypotheses(
        *(
            None if tensors[0] is None else _join_padded(tensors)[order]
            for tensors in zip(*parts, strict=True)
        )
    )


def _join_padded(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenates batches whose last axes may differ, padded with zeros."""
    widest = max(array.shape[-1] for array in arrays)
    return np.concatenate(
        [
            np.pad(
                array,
                [(0, 0)] * (len(array.shape) - 1) + [(0, widest - array.shape[-1])],
            )
            for array in arrays
        ]
    )
