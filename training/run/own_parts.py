"""What modules of a user's own give a run: parts, tokenizers, callbacks and metrics.

A module takes part by functions of these names, each of them optional:

```
build_encoder(config, preprocessor)     the encoder, in place of the architecture's
build_decoder(config, preprocessor)     the decoder, likewise
source_tokenizer(config, lines)         made from the training sources
target_tokenizer(config, lines)         made from the training targets
callbacks(config, folder)               Keras callbacks, beside those of a run
metrics(config)                         Keras metrics of the logits, beside the accuracy
```
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import keras

from keras_seq2seq.data import Preprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.tokenizers import TableTokenizer

from ..settings import TrainingConfig

FUNCTIONS = (
    "build_encoder",
    "build_decoder",
    "source_tokenizer",
    "target_tokenizer",
    "callbacks",
    "metrics",
)


class OwnParts:
    """The functions of imported modules; of none, a run is as its settings say.

    Args:
        modules: Python modules.

    Raises:
        InputError: If two modules have a function of the same name.
    """

    def __init__(self, modules: Sequence[ModuleType] = ()):
        self.modules = [module.__name__ for module in modules]
        self._functions: dict[str, Callable[..., Any]] = {}
        for module in modules:
            for name in FUNCTIONS:
                if (function := getattr(module, name, None)) is None:
                    continue
                if not callable(function):
                    raise InputError(
                        f"`{name}` of the module {module.__name__} must be a function. "
                        f"Received: {type(function).__name__}."
                    )
                if name in self._functions:
                    raise InputError(
                        f"`{name}` is in two of the modules {', '.join(self.modules)}. Import "
                        "one of them."
                    )
                self._functions[name] = function

    @property
    def parts(self) -> list[str]:
        """The functions that make a part of a model or a tokenizer."""
        return [name for name in FUNCTIONS[:4] if name in self._functions]

    def tokenizer(self, side: str) -> Callable[..., Any] | None:
        """The function that makes the tokenizer of `"source"` or `"target"`."""
        name = f"{side}_tokenizer"
        if name not in self._functions:
            return None
        return lambda *arguments: self._made(name, arguments, TableTokenizer)

    def callbacks(self, *arguments: Any) -> list[Any]:
        return self._several("callbacks", arguments, keras.callbacks.Callback)

    def metrics(self, *arguments: Any) -> list[Any]:
        return self._several("metrics", arguments, keras.metrics.Metric)

    def _several(self, name: str, arguments: Any, kind: type) -> list[Any]:
        if name not in self._functions:
            return []
        found = self._made(name, arguments, list | tuple)
        if wrong := [one for one in found if not isinstance(one, kind)]:
            raise InputError(
                f"`{name}` of a module must give a list of {kind.__name__} objects. Received: "
                f"{wrong[0]!r:.60}."
            )
        return list(found)

    def _made(self, name: str, arguments: Any, kind: Any = object) -> Any:
        """What a function of a module gives; `InputError` for what it raises, and for
        something else."""
        try:
            made = self._functions[name](*arguments)
        except InputError:
            raise
        except Exception as error:  # Whatever the function of a user raises.
            raise InputError(
                f"`{name}` of a module raises {type(error).__name__}: {error}"
            ) from error
        if not isinstance(made, kind):
            raise InputError(
                f"`{name}` of a module must give a {getattr(kind, '__name__', 'list')}. "
                f"Received: {made!r:.60}."
            )
        return made

    def put_into(
        self, model: Seq2Seq, config: TrainingConfig, preprocessor: Preprocessor
    ) -> Seq2Seq:
        """The model with the encoder and the decoder of the modules in place of its own.

        Raises:
            InputError: If a part does not fit, or the model shares embeddings of which one
                side is replaced.
        """
        names = [name for name in FUNCTIONS[:2] if name in self._functions]
        if not names:
            return model
        if getattr(config.model, "share_embeddings", False) and len(names) == 1:
            raise InputError(
                "--share-embeddings is about the encoder and the decoder of an architecture. "
                f"Received: {names[0]} of a module. Define both, or leave the option out."
            )
        parts: list[Any] = [
            self._made(name, (config, preprocessor))
            if name in names
            # With layers of its own: those of the model have met another memory.
            else type(part).from_config(part.get_config())
            for name, part in zip(FUNCTIONS, (model.encoder, model.decoder), strict=False)
        ]
        encoder, decoder = parts
        ctc = model.ctc and type(model.ctc).from_config(model.ctc.get_config())
        try:
            return Seq2Seq(encoder, decoder, preprocessor, ctc=ctc)
        except ValueError as error:
            raise InputError(f"{' and '.join(names)} of a module: {error}") from error
