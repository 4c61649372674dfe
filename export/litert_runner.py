"""Runs an exported folder with LiteRT: needs numpy and ai-edge-litert, nothing else.

A copy of this file, of `plain_tokenizers.py` and of `vector_check.py` lies in the folder; there
it is a program too:

    python litert_runner.py hello world
    python litert_runner.py sound.wav          (a model of sound)
    python litert_runner.py frames.npy         (a model of frames)
    python litert_runner.py --check            (does the file give what it gave at export?)
"""

import hashlib
import json
import sys
import threading
import wave
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    from .plain_tokenizers import PlainTokenizer, check_text
    from .vector_check import differences, print_check, read_vectors
except ImportError:  # In an exported folder.
    from plain_tokenizers import (  # type: ignore[import-not-found, no-redef]
        PlainTokenizer,
        check_text,
    )
    from vector_check import (  # type: ignore[import-not-found, no-redef]
        differences,
        print_check,
        read_vectors,
    )

MOST_THREADS = 1024


class Growing:
    """A signature of an interpreter, run twice where an input is longer than all before.

    In the first such call LiteRT's default delegate (XNNPACK) can compute with what lay in its
    memory before it grew: of new interpreters one in ten gave another score once. The second
    call is right, and so are shorter inputs.

    Args:
        run: A signature runner.
    """

    def __init__(self, run: Callable[..., dict[str, Any]]):
        self._run, self._longest = run, 0

    def __call__(self, **inputs: np.ndarray) -> dict[str, Any]:
        longest = max(np.size(array) for array in inputs.values())
        if longest > self._longest:
            self._run(**inputs)
            self._longest = longest
        return self._run(**inputs)


class LiteRTRunner:
    """Strings, sound or frames in, strings out, from the folder that `export_tflite` writes.

    Tokenizes in plain Python as the model's own tokenizer does in the graph.

    One runner may be shared by threads: they take turns, since an interpreter holds the
    tensors of one call. For calls side by side give each thread a runner of its own.

    A file that was exported for a batch decodes `batch_size` sources a call, `generate_all` of
    a list as many; of one source it takes as long as of all.

    Args:
        path: The folder, or its `model.tflite` alone, which has all that is needed.
        num_threads: int, at most 1024. Defaults to 1, often the fastest for a small model.

    Raises:
        FileNotFoundError: If the folder lacks `model.tflite` or `signatures.json`.
        ValueError: If the tokenizer is none that this file knows, the file is not of this
            package, or one of the files is not as it was written.
    """

    MODELS: tuple[str, ...] = ("model.tflite",)

    def __init__(self, path: str | Path, num_threads: int = 1):
        if not 1 <= num_threads <= MOST_THREADS:
            raise ValueError(
                f"`num_threads` must be at least 1 and at most {MOST_THREADS}. Received: "
                f"{num_threads}."
            )
        path = Path(path)
        read = _reader(path, self.MODELS)
        self.description = _described(read("signatures.json"), path)
        _check_files(self.description.get("files", {}), path, read)
        self.kind = self.description["source"].get("kind", "text")
        self.batch_size: int = self.description.get("batch_size", 1)

        def tokenizer(side: str) -> PlainTokenizer:
            return PlainTokenizer(
                self.description[side],
                _lines(read(f"{side}_vocabulary.txt")),
                [float(line) for line in _lines(read(f"{side}_scores.txt"))],
                _lines(read(f"{side}_merges.txt")),
            )

        if self.kind == "text":
            self.source = tokenizer("source")
        self.target = tokenizer("target")
        self._generate = self._open(path, num_threads)
        self._lock = threading.Lock()

    def _open(self, path: Path, num_threads: int) -> Callable[..., dict[str, Any]]:
        """From encoder inputs by name to what `serving_default` gives."""
        from ai_edge_litert.interpreter import Interpreter

        file = path if path.is_file() else path / "model.tflite"
        self.interpreter = Interpreter(str(file), num_threads=num_threads)
        self.interpreter.allocate_tensors()  # Now, not in the first call: it prints a note.
        return Growing(self.interpreter.get_signature_runner("serving_default"))

    def split(self, text: str) -> list[str]:
        """The source tokens, unknown ones as they are."""
        return self.source.split(text)

    def tokenize(self, text: str) -> list[int]:
        """Source ids with the end token.

        Raises:
            ValueError: If the text is no text, empty or longer than the model takes.
        """
        check_text(text)
        source = self.description["source"]
        ids = self.source.encode(text)
        longest = self.description["max_source_length"]
        least = len(self.source.begin) + len(self.source.finish) + 1
        if not least <= len(ids) <= longest:
            raise ValueError(
                f"A source must have from {least} to {longest} tokens. Received {len(ids)}: "
                f"{text[:40]!r}."
            )
        return [*ids, source["append"]]

    def read_signal(self, source: np.ndarray | str | Path) -> np.ndarray:
        """Sound `(samples,)` or frames `(frames, features)`, float32.

        Args:
            source: An array, a `.npy` file, or a `.wav` file of the model's sample rate.

        Raises:
            ValueError: If it cannot be read, is empty or longer than the model takes, has
                another shape or sample rate, or holds NaN.
        """
        if not isinstance(source, np.ndarray | str | Path):
            raise ValueError(
                "A source must be an array or the path of a file. Received: "
                f"{type(source).__name__} {source!r:.40}."
            )
        own = self.description["source"]
        array = source if isinstance(source, np.ndarray) else self._load(Path(source))
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
            raise ValueError(f"A source must hold numbers. Received: {str(source)[:40]}.")
        shape = (int(np.prod(own["feature_shape"])),) if self.kind == "features" else ()
        if shape:
            if array.shape[1:] == tuple(own["feature_shape"]):
                array = array.reshape(len(array), *shape)
        if array.ndim < 1 or array.shape[1:] != shape:
            raise ValueError(
                f"A source must have the shape {('length', *shape)}. Received: {array.shape}."
            )
        longest = self.description["max_source_length"]
        if not 1 <= len(array) <= longest:
            raise ValueError(
                f"A source must have a length from 1 to {longest}. Received: {len(array)}."
            )
        if array.dtype == np.int16 and self.kind == "waveform":
            array = array / np.float32(32768)
        if array.dtype == np.uint8 and self.kind == "features":
            array = array / np.float32(255)
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError("A source must hold finite numbers. Received NaN or infinity.")
        return array

    def _load(self, path: Path) -> np.ndarray:
        if path.suffix == ".wav" and self.kind == "waveform":
            return _read_wav(path, self.description["source"]["sample_rate"])
        try:
            return np.load(path, allow_pickle=False)
        except Exception as error:  # A damaged header can be anything.
            words = "it is something else" if "pickle" in str(error) else error
            raise ValueError(f"{path}: cannot be read ({words}).") from error

    def encoder_inputs(self, source: Any) -> dict[str, np.ndarray]:
        """The inputs of `serving_default` for one source."""
        if self.kind == "text":
            return {"encoder_token_ids": np.array([self.tokenize(source)], np.int32)}
        array = self.read_signal(source)
        return {
            f"encoder_{self.kind}": array[None],
            "encoder_lengths": np.array([len(array)], np.int32),
        }

    def detokenize(
        self,
        token_ids: Sequence[int],
        source_tokens: Sequence[str] = (),
        alignments: np.ndarray | None = None,
    ) -> str:
        """Target text up to the end token.

        Args:
            token_ids: `(length,)`.
            source_tokens: Source tokens as strings; with `alignments` alone.
            alignments: `(length, source_length)`, optional: an unknown token is written as
                the source token with the most attention.
        """
        target = self.description["target"]
        pieces = []
        for step, token_id in enumerate(token_ids):
            if token_id == target["end"]:
                break
            if token_id == target["unknown"] and alignments is not None:
                best = int(alignments[step, : len(source_tokens)].argmax())
                pieces.append(source_tokens[best])
            elif self._is_written(token_id):
                pieces.append(self.target.vocabulary[token_id])
        return self.target.join(pieces)

    def _is_written(self, token_id: int) -> bool:
        target = self.description["target"]
        runs = target.get("unwritten", [])
        return token_id not in (target["padding"], target["start"]) and not any(
            first <= token_id < end for first, end in runs
        )

    def generate(self, source: Any) -> tuple[list[str], dict[str, Any]]:
        """Target texts, the best first, and the raw outputs of `serving_default`.

        Args:
            source: Text; or an array or file as of `read_signal`.

        Raises:
            ValueError: If the source is of another kind, empty, or longer than the model takes.
        """
        return self.generate_all([source])[0]

    def generate_all(self, sources: Sequence[Any]) -> list[tuple[list[str], dict[str, Any]]]:
        """What `generate` gives for each source, decoded in the batches of the file.

        Sources of similar length come together, and a last batch that is not full is filled
        with copies, so that no source costs another anything but time.

        Args:
            sources: As of `generate`.

        Raises:
            ValueError: As `generate`, before anything is decoded.
        """
        inputs = [self.encoder_inputs(source) for source in sources]
        # The longest first: a call that is longer than all before is made twice.
        sizes = [-max(np.size(array) for array in one.values()) for one in inputs]
        order = sorted(range(len(inputs)), key=sizes.__getitem__)
        answers: list[Any] = [None] * len(inputs)
        for begin in range(0, len(order), self.batch_size):
            batch = order[begin : begin + self.batch_size]
            fed = _together([inputs[index] for index in batch], self.batch_size)
            with self._lock:
                found = self._generate(**fed)
            for row, index in enumerate(batch):
                outputs = {name: array[row : row + 1] for name, array in found.items()}
                answers[index] = self._texts(sources[index], outputs), outputs
        return answers

    def _texts(self, source: Any, outputs: dict[str, Any]) -> list[str]:
        rows = outputs["token_ids"][0]
        if not self.description["generation"]["replace_unknown"]:
            return [self.detokenize(row) for row in rows]
        pieces = self.split(source)
        aligned = zip(rows, outputs["alignments"][0], strict=True)
        return [self.detokenize(row, pieces, weights) for row, weights in aligned]


def _together(inputs: Sequence[dict[str, np.ndarray]], size: int) -> dict[str, np.ndarray]:
    """One batch of sources, padded with zeros; its last one fills it up."""
    rows = [*inputs, *[inputs[-1]] * (size - len(inputs))]
    fed = {}
    for name in inputs[0]:
        arrays = [row[name] for row in rows]
        room = np.zeros((size, *max(one.shape[1:] for one in arrays)), arrays[0].dtype)
        for row, array in enumerate(arrays):
            room[row : row + 1][tuple(map(slice, array.shape))] = array
        fed[name] = room
    return fed


def _read_wav(path: Path, sample_rate: int) -> np.ndarray:
    try:
        with wave.open(str(path)) as file:
            channels, width, rate, count, *_ = file.getparams()
            content = file.readframes(count)
    except (OSError, EOFError, wave.Error) as error:
        raise ValueError(f"{path}: cannot be read ({error}).") from error
    if width != 2 or rate != sample_rate:
        raise ValueError(
            f"{path}: expected 16 bits and {sample_rate} Hz. Received: {8 * width} bits, "
            f"{rate} Hz. Convert it, for example with `ffmpeg -i {path} -ar {sample_rate} "
            "-sample_fmt s16 new.wav`."
        )
    samples = np.frombuffer(content[: len(content) // (2 * channels) * 2 * channels], "<i2")
    return samples.reshape(-1, channels).mean(axis=1, dtype=np.float32) / np.float32(32768)


def _reader(path: Path, models: Sequence[str]) -> Callable[[str], str]:
    """From a name to that text beside the model, or in the archive at the end of its file.

    Of a text that is not there, such as scores, which only SentencePiece has: empty.
    """
    if not path.is_file():
        missing = [n for n in (*models, "signatures.json") if not (path / n).is_file()]
        if missing:
            raise FileNotFoundError(f"{path} has no {' and no '.join(missing)}.")
        return lambda name: (
            (path / name).read_bytes().decode() if (path / name).is_file() else ""
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} has no vocabularies at its end; give its folder.")
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    return lambda name: texts.get(name, "")


def _described(text: str, path: Path) -> dict[str, Any]:
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: signatures.json is damaged ({error}).") from error
    if not isinstance(description, dict):
        raise ValueError(f"{path}: signatures.json is damaged: it must hold an object.")
    return description


def _check_files(files: dict[str, Any], path: Path, read: Callable[[str], str]) -> None:
    """Raises `ValueError` for a file that was changed; older folders do not tell."""
    for name, written in files.items():
        if name.endswith((".tflite", ".onnx")):
            model_file = path if path.is_file() else path / name
            # The vocabularies at its end are no part of the model; they have their own.
            with open(model_file, "rb") as file:
                content = file.read(written["bytes"])
            where = str(model_file)
        else:
            folder = path.parent if path.is_file() else path
            content, where = read(name).encode(), f"{name} of {folder}"
        if hashlib.sha256(content).hexdigest() != written["sha256"]:
            raise ValueError(
                f"{where} is not as it was exported: {len(content):,} bytes, expected "
                f"{written['bytes']:,} with another fingerprint. Copy it anew."
            )


def _lines(text: str) -> list[str]:
    return text.split("\n")[:-1]


def check(folder: str | Path) -> list[str]:
    """What the file of a folder gives otherwise than its `test_vectors.json` expects."""
    return differences(LiteRTRunner(folder), read_vectors(folder))


def main(arguments: Sequence[str]) -> int:
    """As `run_program`, or checks the folder."""
    runner = LiteRTRunner(Path(__file__).parent)
    if list(arguments) == ["--check"]:
        return print_check(runner, read_vectors(Path(__file__).parent))
    return run_program(runner, arguments)


def run_program(runner: LiteRTRunner, arguments: Sequence[str]) -> int:
    """Prints source, tab, log probability, tab, target for each argument or input line."""
    status = 0
    for text in arguments or map(_decoded, sys.stdin.buffer):
        try:
            targets, outputs = runner.generate(text)
        except ValueError as error:
            print(error, file=sys.stderr)
            status = 1
            continue
        for target, log_prob in zip(targets, outputs["log_probs"][0], strict=True):
            print(f"{text}\t{log_prob:.4f}\t{target}")
    return status


def _decoded(line: bytes) -> str:
    """A line of the input; a byte that is not UTF-8 costs its own line alone."""
    return line.rstrip(b"\r\n").decode("utf-8-sig", "surrogateescape")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
