"""Recurrent cells and attention as one recurrence, for one step or for a whole sequence."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.attention import MemoryAttention
from keras_seq2seq.layers.byte_dropout import ByteDropout
from keras_seq2seq.layers.sizes import rows_of, size_of

# What of the attention joins the input of the first cell.
FEEDINGS = ("none", "attention", "context")

# Names of the state entries that cells do not have.
MEMORY, MEMORY_MASK, MEMORY_KEYS = "memory", "memory_mask", "memory_keys"
ATTENTION, ALIGNMENT = "attention", "alignment"


@keras.saving.register_keras_serializable("keras_seq2seq")
class AttentionalRecurrence(keras.layers.Layer):
    """Stacked recurrent cells with attention, in which a step can depend on all of the last.

    `input_feeding` says how:

    - `"none"`: `h_t = RNN(x_t, h_{t-1})`, then the attention asks with `h_t`.
    - `"attention"`: input feeding of Luong et al. (2015), section 3.3: the same with
      `[x_t; o_{t-1}]` in the place of `x_t`, `o` the attention's output.
    - `"context"`: Bahdanau et al. (2014), appendix A.2.2: the attention asks with `h_{t-1}`,
      and `h_t = RNN([x_t; c_t], h_{t-1})`.

    In training the same entries of states (between cells, and from step to step) are dropped
    at all steps of a sequence (Gal & Ghahramani, 2016).

    Args:
        cells: Recurrent cells of Keras, the lowest first, all of the same width.
        attention: `MemoryAttention`, or `None`.
        input_feeding: string. Defaults to `"none"`.
        residual: bool. Add the input of every cell but the first to its output. Defaults to
            `False`.
        dropout: float in [0, 1), between cells. Defaults to 0.
        recurrent_dropout: float in [0, 1), of `h_{t-1}`. Defaults to 0.

    Call arguments:
        inputs: `(batch, target_length, dim)`, or `(batch, dim)` for one step.
        state: Dictionary of tensors: for cell `i` its states `i_0` (and `i_1`) `(batch,
            units)`; with attention `memory`, `memory_mask` and `memory_keys`; if fed,
            `attention` `(batch, attention units)`; if the attention uses it, `alignment`
            `(batch, source_length)`.

    Returns:
        Tuple of outputs `(batch, target_length, units)`, the changed entries of the state
        (after one step, or after the last), and with attention the weights `(batch,
        target_length, source_length)`.

    Raises:
        InputError: If `input_feeding` is unknown, or feeds without an attention.

    Reference:
        [Luong et al., 2015](https://arxiv.org/abs/1508.04025);
        [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473);
        [Gal & Ghahramani, 2016](https://arxiv.org/abs/1512.05287).
    """

    @checked
    def __init__(
        self,
        cells: Sequence[keras.layers.Layer],
        attention: MemoryAttention | None = None,
        input_feeding: str = "none",
        residual: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        if input_feeding not in FEEDINGS:
            raise InputError(
                f"`input_feeding` must be one of {FEEDINGS}. Received: "
                f"input_feeding={input_feeding!r}."
            )
        if input_feeding != "none" and attention is None:
            raise InputError(
                "Input feeding needs an attention. Received: attention=None, "
                f"input_feeding={input_feeding!r}."
            )
        self.cells = list(cells)
        self.attention: Any = attention
        self.input_feeding = input_feeding
        self.residual = residual
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.dropout_layer = ByteDropout(dropout, dtype=self.dtype_policy)
        self.recurrent_dropout_layer = ByteDropout(recurrent_dropout, dtype=self.dtype_policy)

    @property
    def is_sequential(self) -> bool:
        """Whether a step needs more of the last one than the states of its cells."""
        attention = self.attention
        return self.input_feeding != "none" or bool(attention and attention.uses_alignment)

    def build(self, inputs_shape, state_shape):
        batch, width = inputs_shape[0], inputs_shape[-1]
        units = state_shape["0_0"][-1]
        if self.attention is not None:
            memory_shape = state_shape[MEMORY]
            if not self.attention.built:
                self.attention.build((batch, None, units), memory_shape)
            width += {
                "none": 0,
                "attention": self.attention.units,
                "context": memory_shape[-1],
            }[self.input_feeding]
        for cell in self.cells:
            if not cell.built:
                cell.build((batch, width))
            width = units
        self.built = True

    def call(self, inputs, state, training=None):
        masks = self._dropout_masks(state, training)
        if len(inputs.shape) == 2:
            output, changed = self._step(inputs, state, masks)
            weights = changed.get(ALIGNMENT)
            return self._results(output, self._kept(changed), weights)
        first = self._changing(inputs, state)
        constant = {name: tensor for name, tensor in state.items() if name not in first}

        def body(carry, vector):
            # The output is carried too: what a scan collects has the shapes of its carry.
            _, entries = carry
            output, changed = self._step(vector, {**constant, **entries}, masks)
            carry = (output, changed)
            return carry, carry

        (_, last), (outputs, entries) = keras.ops.scan(
            body, (self._empty_output(state), first), keras.ops.transpose(inputs, (1, 0, 2))
        )
        weights = entries.get(ALIGNMENT)
        if weights is not None:
            weights = keras.ops.transpose(weights, (1, 0, 2))
        return self._results(keras.ops.transpose(outputs, (1, 0, 2)), self._kept(last), weights)

    @staticmethod
    def _results(output, changed, weights):
        # Keras takes no `None` among the outputs of a layer.
        return (output, changed) if weights is None else (output, changed, weights)

    def _step(self, vector, state, masks):
        """Output `(B, units)` and all entries that a step may change."""
        attention, feeding = self.attention, self.input_feeding
        top = len(self.cells) - 1
        changed: dict[str, Any] = {}
        if feeding == "context":
            context, changed[ALIGNMENT] = self._attend(state[f"{top}_0"], state)
            vector = keras.ops.concatenate([vector, context], axis=-1)
        elif feeding == "attention":
            vector = keras.ops.concatenate([vector, state[ATTENTION]], axis=-1)
        for index, cell in enumerate(self.cells):
            below = vector
            names = self._names(index, cell)
            states = [state[name] for name in names]
            if masks is not None:
                states[0] = states[0] * masks["recurrent"][index]
            vector, states = cell(vector, states)
            changed |= dict(zip(names, states, strict=True))
            if self.residual and index:
                vector = vector + below
            if masks is not None and index < top:
                vector = vector * masks["between"][index]
        if attention is None:
            return vector, changed
        if feeding != "context":
            context, changed[ALIGNMENT] = self._attend(vector, state)
        output = attention.combine(context, vector)
        if feeding == "attention":
            changed[ATTENTION] = output
        return output, changed

    def _attend(self, query, state):
        """Context and weights of one step; the memory may have one row for several queries in
        a run, which are then the positions of one query."""
        memory = state[MEMORY]
        if self.attention.uses_alignment:
            queries = query[:, None]
        else:
            queries = keras.ops.reshape(query, (size_of(memory, 0), -1, query.shape[-1]))
        context, weights = self.attention.attend(
            queries,
            memory,
            state.get(MEMORY_KEYS, memory),
            state[MEMORY_MASK],
            state.get(ALIGNMENT),
        )
        return (
            keras.ops.reshape(context, (-1, context.shape[-1])),
            keras.ops.reshape(weights, (rows_of(query), size_of(weights, 2))),
        )

    def _kept(self, changed):
        """The entries that the next step needs."""
        if self.attention is None or self.attention.uses_alignment:
            return changed
        return {name: tensor for name, tensor in changed.items() if name != ALIGNMENT}

    def _changing(self, inputs, state):
        """First values of all entries that a step changes."""
        constants = (MEMORY, MEMORY_MASK, MEMORY_KEYS)
        first = {name: tensor for name, tensor in state.items() if name not in constants}
        if self.attention is not None and ALIGNMENT not in first:
            first[ALIGNMENT] = self.attention.first_alignment(state[MEMORY_MASK])
        return first

    def _empty_output(self, state):
        hidden = state["0_0"]
        units = hidden.shape[-1] if self.attention is None else self.attention.units
        return keras.ops.repeat(keras.ops.zeros_like(hidden[:, :1]), units, axis=-1)

    def _dropout_masks(self, state, training):
        """One mask a sequence, drawn before the loop; `None` where nothing is dropped."""
        if not training or not (self.dropout or self.recurrent_dropout):
            return None
        ones = keras.ops.ones_like(state["0_0"])
        return {
            "recurrent": [
                self.recurrent_dropout_layer(ones, training=True) for _ in self.cells
            ],
            "between": [self.dropout_layer(ones, training=True) for _ in self.cells],
        }

    @staticmethod
    def _names(index: int, cell: keras.layers.Layer) -> list[str]:
        count = len(cell.state_size) if isinstance(cell.state_size, list | tuple) else 1
        return [f"{index}_{tensor}" for tensor in range(count)]

    def compute_output_spec(self, inputs, state, training=None):
        attention = self.attention
        units = state["0_0"].shape[-1] if attention is None else attention.units
        lead = inputs.shape[:-1]
        weights = None
        if attention is not None:
            weights = keras.KerasTensor(
                (*lead, state[MEMORY].shape[1]), dtype=self.compute_dtype
            )
        changed = {
            name: keras.KerasTensor(tensor.shape, tensor.dtype)
            for name, tensor in state.items()
            if name not in (MEMORY, MEMORY_MASK, MEMORY_KEYS)
        }
        output = keras.KerasTensor((*lead, units), self.compute_dtype)
        return self._results(output, changed, weights)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "cells": [serialize(cell) for cell in self.cells],
            "attention": serialize(self.attention),
            "input_feeding": self.input_feeding,
            "residual": self.residual,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AttentionalRecurrence":
        deserialize = keras.saving.deserialize_keras_object
        return cls(
            **{
                **config,
                "cells": [deserialize(cell) for cell in config["cells"]],
                "attention": deserialize(config["attention"]),
            }
        )
