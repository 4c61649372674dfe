"""Writes what a model answers, line by line, and says what it could not."""

import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

from .options import print_error
from .source_lines import shown

# Unknown tokens are counted over so many lines at a time, and so many are printed at most.
COUNTED_TOGETHER, MOST_UNKNOWN = 2048, 50


class Writer:
    """Writes answers as the command `generate` says.

    Args:
        model: The model.
        settings: How targets are generated.
        scores: bool. Whether log probabilities are written.
        as_json: bool. Whether a line is a JSON object.

    Attributes:
        file: A binary file to write to; `None` (default) is standard output.
        answered: int. Sources so far.
        failed: bool. Whether one of them had no target.
    """

    def __init__(
        self,
        model: Any,
        settings: GenerationSettings,
        scores: bool = False,
        as_json: bool = False,
    ):
        self.model, self.settings = model, settings
        self.scores, self.as_json = scores, as_json
        self.file: Any = None
        self.answered = 0
        self.failed = False

    def write(
        self, lines: Iterator[str], prefixes: Any = None, done: int = 0, what: str = "line"
    ) -> None:
        """Writes a target for each line as soon as it is there.

        Args:
            lines: The sources.
            prefixes: As of `model.answers`.
            done: int. Sources that were answered before, for the numbers in messages.
            what: string. What an error numbers; empty for no number.
        """
        from keras_seq2seq.data.text import why_no_source

        waiting: deque[str] = deque()

        def read() -> Iterator[str]:
            for line in lines:
                waiting.append(line)
                yield line

        unknown = _Unknown(self.model.preprocessor.count_unknown)
        self.answered = done
        for answer in self.model.answers(read(), self.settings, prefixes=prefixes):
            line = waiting.popleft()
            self.answered += 1
            why = why_no_source(line)
            error = f"the source {why}." if why else answer.error
            if error:
                self.failed = True
                number = f"{what} {self.answered}: " if what else ""
                print_error(InputError(f"{number}{error}"))
            else:
                unknown.add(line)
            self._out("".join(f"{row}\n" for row in self._rows(line, answer, error)))
            if not waiting:
                self._flush()
        unknown.say()

    def _out(self, text: str) -> None:
        if self.file is None:
            sys.stdout.write(text)
        else:
            self.file.write(text.encode())

    def _flush(self) -> None:
        (sys.stdout if self.file is None else self.file).flush()

    def _rows(self, line: str, answer: Any, error: str) -> list[str]:
        source = shown(line)
        if self.as_json:
            content: dict[str, Any] = {"source": source, "hypotheses": []}
            if error:
                content["error"] = error
            else:
                content["hypotheses"] = [
                    {"target": text} | self._describe(answer, rank, line)
                    for rank, text in enumerate(answer.texts)
                ]
            return [json.dumps(content, ensure_ascii=False)]
        if error:
            return ["\t".join([source, *[""] * (1 + self.scores + self.settings.alignments)])]
        rows = []
        for rank, text in enumerate(answer.texts):
            score = [f"{answer.log_probs[rank]:.4f}"] if self.scores else []
            pairs = [self._pairs(answer, rank, line)] if self.settings.alignments else []
            rows.append("\t".join([source, *score, text, *pairs]))
        return rows

    def _pairs(self, answer: Any, rank: int, line: str) -> str:
        found = answer.hypotheses
        weights = found.alignments[rank, : found.lengths[rank], : self._length(line)]
        pairs = enumerate(weights.argmax(-1))
        return " ".join(f"{source}-{target}" for target, source in pairs)

    def _describe(self, answer: Any, rank: int, line: str) -> dict[str, Any]:
        found = answer.hypotheses
        tokens = int((found.token_ids[rank] != 0).sum())
        name = self.model.preprocessor.target_tokenizer.id_to_token
        described = {
            "log_prob": float(found.log_probs[rank]),
            "score": float(found.scores[rank]),
            "tokens": [name(int(i)) for i in found.token_ids[rank, :tokens]],
            "token_log_probs": found.token_log_probs[rank, :tokens].tolist(),
        }
        if self.settings.alignments:
            # The end of the source is a position too.
            weights = found.alignments[rank, :tokens, : self._length(line) + 1]
            described["alignments"] = weights.tolist()
        return described

    def _length(self, line: str) -> int:
        return int(self.model.preprocessor.source_lengths([line])[0])


class _Unknown:
    """Counts the tokens that the model does not know.

    Args:
        count: Callable: texts -> unknown token -> how often.
        what: string. What of the model lacks them.
    """

    def __init__(self, count: Callable[[list[str]], dict[str, int]], what: str = "the model"):
        self._count, self._what = count, what
        self._lines: list[str] = []
        self._found: Counter[str] = Counter()

    def add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) == COUNTED_TOGETHER:
            self._sum()

    def _sum(self) -> None:
        self._found.update(self._count(self._lines))
        self._lines.clear()

    def say(self) -> None:
        """Names the most frequent on standard error."""
        self._sum()
        if self._found:
            most = self._found.most_common(MOST_UNKNOWN)
            names = ", ".join(f"{token!r} ({count})" for token, count in most)
            others = len(self._found) - len(most)
            more = f" and {others} others" if others else ""
            click.echo(f"unknown to {self._what}: {names}{more}", err=True)


def say_unknown(model: Any, sources: Iterable[str], targets: Iterable[str]) -> None:
    """Names the tokens of pairs that the model does not know on standard error."""
    from keras_seq2seq.data.preprocessor import count_unknown

    text = model.preprocessor
    in_targets = partial(count_unknown, text.target_tokenizer)
    for unknown, lines in (
        (_Unknown(text.count_unknown), sources),
        (_Unknown(in_targets, "the target vocabulary"), targets),
    ):
        for line in lines:
            unknown.add(line)
        unknown.say()


@contextmanager
def progress(
    done: int, total: int | None, is_shown: bool
) -> Iterator[Callable[[Iterator[str]], Iterator[str]]]:
    """A bar on standard error while lines are read, if that is a terminal and standard output
    is none, whose lines it would break."""
    if not is_shown or not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda lines: lines
        return
    bar = Progress(console=Console(stderr=True), redirect_stdout=False, transient=True)
    with bar:
        task = bar.add_task("Generating", completed=done, total=total)

        def track(lines: Iterator[str]) -> Iterator[str]:
            for line in lines:
                yield line
                bar.advance(task)

        yield track
