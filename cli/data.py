"""The command `inspect`: a quick look at data."""

import json
import os
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from keras_seq2seq.errors import InputError

from .options import PATH, console, load_tensorflow
from .outputs import OUTPUT, Command, write_output
from .pairs import data_options, read_data


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option("--validation", type=PATH, help="Validation pairs.")
@click.option("--test", type=PATH, help="Test pairs.")
@click.option("--json", "json_file", type=OUTPUT, help="Write it all as JSON too.")
@data_options
def inspect(
    files: tuple[Path, ...],
    validation: Path | None,
    test: Path | None,
    json_file: Path | None,
    source_column: str | None,
    target_column: str | None,
    strict: bool,
) -> None:
    """Look at FILES: pairs of texts in one TSV, CSV or JSON Lines file, one pack, or two
    parallel files. Of a run's folder: its settings, and where each value came from.

    Prints lengths, characters, repeated pairs, what validation and test share with training,
    and suspicious pairs: identical sides, lengths that do not fit each other, control
    characters, spaces at an end. Changes nothing.

    \b
    Examples:
      keras-seq2seq inspect pairs.tsv
      keras-seq2seq inspect train.tsv --validation dev.tsv --test test.tsv --json data.json
      keras-seq2seq inspect runs/first
    """
    from keras_seq2seq.data.stored.packs import is_pack

    if len(files) == 1 and os.path.isdir(files[0]) and not is_pack(files[0]):
        if validation or test or source_column or target_column or strict:
            raise InputError("Of the folder of a run only its settings are shown: give --json.")
        _inspect_run(files[0], json_file)
        return
    load_tensorflow()
    from keras_seq2seq.data.inspection import inspect_pairs

    columns = source_column, target_column
    parts = {"train": read_data(files, "text", strict, columns)}
    parts |= {
        name: read_data([file], "text", strict, columns)
        for name, file in (("validation", validation), ("test", test))
        if file is not None
    }
    result = inspect_pairs(parts)
    console.print(_summary(result, list(parts)))
    for name in parts:
        _print_examples(name, result[name]["suspicious"])
    if json_file is not None:
        write_output(json_file, _as_json(result))


def _inspect_run(folder: Path, json_file: Path | None) -> None:
    """Prints the settings of a run: option, file, recipe, data or default."""
    from keras_seq2seq.training.settings.files import measurement, recorded

    config = recorded(folder / "config.json")
    rows = [
        {"section": section, "setting": name, "value": value, "from": config.origin_of(name)}
        for section, settings in config.to_dict().items()
        for name, value in settings.items()
    ]
    table = Table("section", "setting", "value", "from")
    for row in rows:
        table.add_row(*(str(cell) for cell in row.values()))
    console.print(table)
    if found := measurement(folder / "config.json"):
        rates = ", ".join(f"{1 / s:.3g} with {units} units" for units, s in found.items())
        console.print(f"measured: steps a second {rates}", highlight=False, soft_wrap=True)
    if json_file is not None:
        write_output(json_file, _as_json(rows))


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _summary(result: dict[str, Any], names: list[str]) -> Table:
    table = Table("", *names)

    def add(title: str, values: list[str]) -> None:
        table.add_row(title, *values)

    for title, key in (
        ("pairs", "pairs"),
        ("different sources", "sources"),
        ("repeated pairs", "repeated_pairs"),
        ("sources with several targets", "sources_with_several_targets"),
    ):
        add(title, [f"{result[name][key]:,}" for name in names])
    for side in ("source", "target"):
        for unit in ("characters", "words"):
            spreads = [result[name][side][unit] for name in names]
            add(
                f"{side} {unit}: min, median, 95 %, max",
                [f"{s['min']}  {s['median']:g}  {s['p95']:g}  {s['max']}" for s in spreads],
            )
        alphabets = [result[name][side]["alphabet"] for name in names]
        add(f"different {side} characters", [f"{len(alphabet)}" for alphabet in alphabets])
        new = [set(alphabet) - set(alphabets[0]) for alphabet in alphabets]
        if any(new):
            shown = [" ".join(map(repr, sorted(some)[:8])) for some in new]
            add(f"{side} characters not in {names[0]}", shown)
    if len(names) > 1:
        overlap = result["overlap"]
        for title, key in (("sources", "sources"), ("pairs", "pairs")):
            counts = [f"{overlap[name][key]:,}" for name in names[1:]]
            add(f"{title} also in {names[0]}", ["", *counts])
    for kind in result[names[0]]["suspicious"]:
        counts = [f"{result[name]['suspicious'][kind]['count']:,}" for name in names]
        add(f"suspicious: {kind}", counts)
    return table


def _print_examples(name: str, suspicious: dict[str, Any]) -> None:
    for kind, found in suspicious.items():
        for example in found["examples"]:
            pair = f"{example['source'][:60]!r} -> {example['target'][:60]!r}"
            console.print(
                f"{name}, line {example['number']}, {kind}: {pair}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
