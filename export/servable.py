"""Whether TensorFlow Serving has every operation of a SavedModel."""

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_seq2seq.errors import InputError

# The oldest TensorFlow Serving that an artefact must run in.
SERVING_VERSION = "2.20"

# Core operations of TensorFlow 2.21 that 2.20 lacks: the difference of `TF_GetAllOpList`.
NEWER_OPERATIONS = frozenset({"DecodeJxl"})

# Operations of tensorflow-text 2.20, which TensorFlow Serving links.
TEXT_OPERATIONS = frozenset(
    """
    CaseFoldUTF8 ConstrainedSequence FastBertNormalize FastWordpieceTokenizeWithOffsets
    FindSourceOffsets MaxSpanningTree NormalizeUTF8 NormalizeUTF8WithOffsetsMap PhraseTokenize
    RegexSplitWithOffsets RougeL SentenceFragments SentenceFragmentsV2
    SentencepieceDetokenizeOp SentencepieceIdToStringOp SentencepieceOp
    SentencepieceStringToIdOp SentencepieceTokenizeOp SentencepieceTokenizeWithOffsetsOp
    SentencepieceVocabSizeOp SplitMergeTokenizeWithOffsets TFText>BoiseTagsToOffsets
    TFText>ByteSplitByOffsets TFText>ByteSplitWithOffsets TFText>FastSentencepieceDetokenize
    TFText>FastSentencepieceTokenize TFText>FastWordpieceDetokenize TFText>NgramsStringJoin
    TFText>OffsetsToBoiseTags TFText>PhraseDetokenize TFText>RoundRobinGenerateMasks
    TFText>RoundRobinTrim TFText>Utf8Binarize TFText>WhitespaceTokenizeWithOffsetsV2
    TokenizerFromLogits UnicodeScriptTokenizeWithOffsets WhitespaceTokenizeWithOffsets
    WordpieceTokenizeWithOffsets
    """.split()
)


def check_servable(path: str | Path) -> None:
    """Refuses a SavedModel that TensorFlow Serving cannot load.

    Python and custom operations (`tf.py_function`, an operation library) run here and fail
    on the server; this finds them in the graph and in its functions.

    Args:
        path: The SavedModel.

    Raises:
        InputError: Naming each operation that TensorFlow Serving lacks and a node with it.
    """
    nodes = dict(_operations(Path(path)))
    lacking = sorted(name for name in nodes if not _is_known(name))
    if lacking:
        listed = ", ".join(f"{name} (in {nodes[name]})" for name in lacking)
        raise InputError(
            f"TensorFlow Serving {SERVING_VERSION} lacks operations of this model: {listed}. "
            "Build the model of TensorFlow's own operations."
        )


def _is_known(name: str) -> bool:
    if name in TEXT_OPERATIONS or name.startswith("_"):  # Internal ones start so.
        return True
    return (
        hasattr(tf.raw_ops, name)
        and name not in NEWER_OPERATIONS
        # These call back into the Python process that built the graph.
        and not name.startswith(("PyFunc", "EagerPyFunc"))
    )


def _operations(path: Path) -> Iterator[tuple[str, str]]:
    """`(operation, node)` of the graph and its functions; calls of functions left out."""
    saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    for graph in saved_model.meta_graphs:
        functions = graph.graph_def.library.function
        own = {function.signature.name for function in functions}
        for node in graph.graph_def.node:
            if node.op not in own:
                yield node.op, node.name
        for function in functions:
            for node in function.node_def:
                if node.op not in own:
                    yield node.op, f"{node.name} of {function.signature.name}"
