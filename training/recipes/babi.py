"""Questions about small stories: eight of the bAbI tasks, one configuration, one model.

Data: one folder with `qaN_NAME_train.txt` and `qaN_NAME_test.txt` (`.gz` too), the English
1,000-question version of Facebook's bAbI tasks (CC BY 3.0); tasks 1, 2, 4, 7, 8, 10, 15 and
19 for the figures below. `--data FOLDER` trains one model on all tasks that the folder has,
`--data FOLDER/1` one on task 1 alone.

```
keras-seq2seq train --recipe babi --data FOLDER --run-dir runs/babi
keras-seq2seq evaluate runs/babi --recipe babi --data FOLDER
```

A source is the question and then the story so far, words and punctuation separate; a target
is the answer, the words of a list separate:

```
source   What is Mary carrying ? Mary got the milk there . John moved to the office .
target   milk
```

The encoder reads a vector a sentence (`sentence_ends`), so that a Transformer's attention
chooses among sentences, as memory networks do on these tasks (Sukhbaatar et al. 2015).

The last tenth of the stories of each training file chooses the best epoch. An answer is right
if all its words are. The supporting facts in the files are not used.

Published test accuracy, in the order of the tasks above: Weston et al. 2015, LSTM, 50, 20,
61, 49, 45, 44, 21, 8 (mean 37.3); Keras' recurrent example, a model a task, 100, 50, 62.9,
78.9, 77.2, 47.7, 32.4, 9.0 (mean 57.3).

Reached, seed 1, one model of 0.36 million parameters for all: 97.9, 54.2, 93.8, 85.1, 91.5,
86.7, 99.3, 9.1 (mean 77.2); 80 epochs in 13 minutes on one busy core (Intel Xeon). What it does
not learn from 1,000 questions are two facts that belong together (task 2) and paths (task 19).
"""

import re
from pathlib import Path
from typing import Any

from keras_seq2seq.data import Pairs, Splits, read_lines
from keras_seq2seq.data.disk import file_or_gz, is_folder
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

from ..evaluation import evaluate as evaluate_model
from ..settings import TrainingConfig
from . import names_in

DATA = "FOLDER"

CONFIG = TrainingConfig(
    architecture="transformer",
    sentence_ends=". ?",
    source_tokenizer="symbols",
    target_tokenizer="symbols",
    references="pair",
    hidden_dim=64,
    num_layers=3,
    dropout=0.1,
    # A test story can be longer than every training story.
    max_source_length=600,
    max_target_length=8,
    epochs=80,
    batch_size=64,
    learning_rate=1e-3,
    patience=80,
    validation_decoded=0,
    token_name="word",
    sequence_name="answer",
)

_WORD = re.compile(r"\w+|[^\w\s]")
_TASK = re.compile(r"qa(\d+)_.*")


def load(data: Path) -> Splits:
    """The questions of all tasks of the folder `data`, or of one task: `FOLDER/N`."""
    stories = [read_stories(part(data, name, "train")) for name in tasks(data)]
    held_out = [max(1, len(of_task) // 10) for of_task in stories]
    train = [s[:-last] for s, last in zip(stories, held_out, strict=True)]
    validation = [s[-last:] for s, last in zip(stories, held_out, strict=True)]
    test = [read_stories(part(data, name, "test")) for name in tasks(data)]
    return Splits(*(questions(stories) for stories in (train, validation, test)))


def tasks(data: Path) -> list[str]:
    """Names of the task files of the folder, by number; of the one of `FOLDER/N`."""
    folder = data if is_folder(data) else data.parent
    numbers = {
        int(match[1]): name
        for name in names_in(folder, "{}_train.txt")
        if (match := _TASK.fullmatch(name))
    }
    if is_folder(data) and numbers:
        return [numbers[number] for number in sorted(numbers)]
    if data.name.isdigit() and int(data.name) in numbers:
        return [numbers[int(data.name)]]
    listed = ", ".join(map(str, sorted(numbers))) or "none"
    raise InputError(
        f"{data}: no such task. Give the folder, or FOLDER/N for one task; there is: {listed}."
    )


def part(data: Path, name: str, which: str) -> Path:
    """The file of a task."""
    folder = Path(data or "")
    folder = folder if is_folder(folder) else folder.parent
    return file_or_gz(folder / f"{name}_{which}.txt")


def read_stories(path: Path) -> list[Pairs]:
    """The questions of every story, each before the story so far.

    ```
    1 Mary moved to the bathroom.
    2 Where is Mary? <TAB>bathroom<TAB>1
    ```

    Raises:
        InputError: If a line has no number, or a question no answer.
    """
    stories: list[Pairs] = []
    told: list[str] = []
    for number, line in enumerate(read_lines(path), 1):
        match = re.fullmatch(r"(\d+) (.+)", line)
        if match is None or (not stories and match[1] != "1"):
            raise InputError(f"{path}, line {number}: expected `N sentence`: {line[:60]!r}.")
        if match[1] == "1":
            told = []
            stories.append(Pairs([], []))
        sentence, *answer = match[2].split("\t")
        words = " ".join(_WORD.findall(sentence))
        if not answer:
            told.append(words)
            continue
        if not answer[0].strip():
            raise InputError(f"{path}, line {number}: the question has no answer.")
        stories[-1].sources.append(" ".join([words, *told]))
        stories[-1].targets.append(answer[0].replace(",", " "))
    return stories


def questions(tasks: list[list[Pairs]]) -> Pairs:
    """All questions of all stories of all tasks."""
    stories = [story for of_task in tasks for story in of_task]
    return Pairs(
        [source for story in stories for source in story.sources],
        [target for story in stories for target in story.targets],
    )


def evaluate(model: Any, data: Path, settings: GenerationSettings) -> dict[str, float]:
    """Test accuracy of each task, and their mean."""
    accuracies = {}
    for name in tasks(data):
        test = questions([read_stories(part(data, name, "test"))])
        found = evaluate_model(model, test, settings, references="pair")
        accuracies[name] = 1 - found.rates.sequence_error_rate
    return accuracies | {"mean": sum(accuracies.values()) / len(accuracies)}
