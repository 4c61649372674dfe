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

from .options import print_error
from .source_lines import shown

# Unknown tokens are counted over so many lines at a time, and so many are printed at most.
COUNTED_TOGETHER, MOST_UNKNOWN = 2048, 50


class Writer:
    """Writes answers as the command `generate` says.

    Args:
        engine: What answers, as `engines.ModelEngine`.
        scores: bool. Whether log probabilities are written.
        as_json: bool. Whether a line is a JSON object.

    Attributes:
        file: A binary file to write to; `None` (default) is standard output.
        answered: int. Sources so far.
        failed: bool. Whether one of them had no target.
        tokens: int. Tokens of the best targets.
    """

    def __init__(
        self,
        engine: Any,
        scores: bool = False,
        as_json: bool = False,
    ):
        self.engine, self.settings = engine, engine.settings
        self.scores, self.as_json = scores, as_json
        self.file: Any = None
        self.answered = self.tokens = 0
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

        unknown = _Unknown(self.engine.count_unknown)
        self.answered = done
        for answer in self.engine.answers(read(), prefixes):
            line = waiting.popleft()
            self.answered += 1
            why = why_no_source(line)
            error = f"the source {why}." if why else answer.error
            if error:
                self.failed = True
                self.say_error(self.answered, what, error)
            else:
                unknown.add(line)
                self.tokens += self.engine.tokens(answer)
            self._out("".join(f"{row}\n" for row in self._rows(line, answer, error)))
            if not waiting:
                self._flush()
        self.say_unknown(unknown.found())

    def say_error(self, number: int, what: str, why: str) -> None:
        """Says why a source, the `number`-th, has no target."""
        print_error(InputError(f"{what} {number}: {why}" if what else why))

    def say_unknown(self, unknown: Counter[str]) -> None:
        """Says which tokens the model does not know, with how often each occurs."""
        _say_unknown(unknown)

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
                    {"target": text} | self.engine.describe(answer, rank, line)
                    for rank, text in enumerate(answer.texts)
                ]
            return [json.dumps(content, ensure_ascii=False)]
        if error:
            return ["\t".join([source, *[""] * (1 + self.scores + self.settings.alignments)])]
        rows = []
        for rank, text in enumerate(answer.texts):
            score = [f"{answer.log_probs[rank]:.4f}"] if self.scores else []
            pairs = [self.engine.pairs(answer, rank, line)] if self.settings.alignments else []
            rows.append("\t".join([source, *score, text, *pairs]))
        return rows


class _Unknown:
    """Counts the tokens that the model does not know.

    Args:
        count: Callable: texts -> unknown token -> how often.
    """

    def __init__(self, count: Callable[[list[str]], dict[str, int]]):
        self._count = count
        self._lines: list[str] = []
        self._found: Counter[str] = Counter()

    def add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) == COUNTED_TOGETHER:
            self._sum()

    def _sum(self) -> None:
        self._found.update(self._count(self._lines))
        self._lines.clear()

    def found(self) -> Counter[str]:
        """All so far."""
        self._sum()
        return self._found


def _say_unknown(found: Counter[str], what: str = "the model") -> None:
    """Names the most frequent on standard error; `what` of the model lacks them."""
    if found:
        most = found.most_common(MOST_UNKNOWN)
        names = ", ".join(f"{token!r} ({count})" for token, count in most)
        others = len(found) - len(most)
        more = f" and {others} others" if others else ""
        click.echo(f"unknown to {what}: {names}{more}", err=True)


def say_unknown(model: Any, sources: Iterable[str], targets: Iterable[str]) -> None:
    """Names the tokens of pairs that the model does not know on standard error."""
    from keras_seq2seq.data.preprocessor import count_unknown

    text = model.preprocessor
    in_targets = partial(count_unknown, text.target_tokenizer)
    for count, lines, what in (
        (text.count_unknown, sources, "the model"),
        (in_targets, targets, "the target vocabulary"),
    ):
        unknown = _Unknown(count)
        for line in lines:
            unknown.add(line)
        _say_unknown(unknown.found(), what)


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
