"""A quick look at pairs before anything is trained on them."""

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_seq2seq.data.readers import Pairs

# So many times the usual ratio of lengths, either way, is suspicious; shorter lines are not
# looked at, since a letter more or less is a large share of them.
EXTREME_RATIO = 4.0
SHORTEST_COMPARED = 10
EXAMPLES = 5


def inspect_pairs(parts: Mapping[str, Pairs]) -> dict[str, Any]:
    """Counts what tells whether data is fit to train on. Nothing is changed.

    ```
    {"train": {"pairs": 3, "sources": 2, "repeated_pairs": 1, ...}, "overlap": {...}}
    ```

    Args:
        parts: Name, such as `"train"`, `"validation"` or `"test"`, -> its pairs.

    Returns:
        For each part `pairs`, `sources` (different ones), `repeated_pairs`,
        `sources_with_several_targets`, `source` and `target` (`characters` and `words` a line
        as `min`, `median`, `p95`, `max`; `alphabet`, the different characters with their
        counts, most frequent first) and `suspicious`: kind -> `count` and up to 5
        `examples`, each a pair with the line of its file, from 1 (its number where it comes
        from no file). Under `overlap`:
        for each part but the first how many of its `sources` and `pairs` the first has too.
    """
    result: dict[str, Any] = {name: _inspect(pairs) for name, pairs in parts.items()}
    first, *others = parts
    sources = set(parts[first].sources)
    rows = set(zip(parts[first].sources, parts[first].targets, strict=True))
    result["overlap"] = {
        name: {
            "with": first,
            "sources": len(sources & set(parts[name].sources)),
            "pairs": sum(
                row in rows
                for row in zip(parts[name].sources, parts[name].targets, strict=True)
            ),
        }
        for name in others
    }
    return result


def _inspect(pairs: Pairs) -> dict[str, Any]:
    rows = list(zip(pairs.sources, pairs.targets, strict=True))
    return {
        "pairs": len(rows),
        "sources": len(set(pairs.sources)),
        "repeated_pairs": len(rows) - len(set(rows)),
        "sources_with_several_targets": sum(
            count > 1 for count in Counter(source for source, _ in set(rows)).values()
        ),
        "source": _side(pairs.sources),
        "target": _side(pairs.targets),
        "suspicious": _suspicious(rows, pairs.lines or range(1, len(rows) + 1)),
    }


def _side(lines: Sequence[str]) -> dict[str, Any]:
    alphabet = Counter(character for line in lines for character in line)
    return {
        "characters": _spread([len(line) for line in lines]),
        "words": _spread([len(line.split()) for line in lines]),
        "alphabet": dict(alphabet.most_common()),
    }


def _spread(lengths: Sequence[int]) -> dict[str, float]:
    median, p95 = np.percentile(lengths, (50, 95))
    return {"min": min(lengths), "median": median, "p95": p95, "max": max(lengths)}


def _suspicious(rows: Sequence[tuple[str, str]], lines: Sequence[int]) -> dict[str, Any]:
    ratios = [math.log(max(1, len(target)) / max(1, len(source))) for source, target in rows]
    usual = float(np.median(ratios))

    def is_extreme(row: tuple[str, str], ratio: float) -> bool:
        is_long = max(map(len, row)) >= SHORTEST_COMPARED
        return is_long and abs(ratio - usual) > math.log(EXTREME_RATIO)

    kinds: dict[str, Callable[[tuple[str, str], float], bool]] = {
        "identical sides": lambda row, ratio: row[0] == row[1],
        "extreme length ratio": is_extreme,
        "control characters": lambda row, ratio: any(map(_is_control, "".join(row))),
        "replacement characters": lambda row, ratio: "\ufffd" in "".join(row),
        "spaces at an end": lambda row, ratio: any(side != side.strip() for side in row),
    }
    result = {}
    for kind, holds in kinds.items():
        found = [
            (number, *row)
            for number, row, ratio in zip(lines, rows, ratios, strict=True)
            if holds(row, ratio)
        ]
        result[kind] = {
            "count": len(found),
            "examples": [
                {"number": number, "source": source, "target": target}
                for number, source, target in found[:EXAMPLES]
            ],
        }
    return result


def _is_control(character: str) -> bool:
    # Joiners and marks of direction, which are of category Cf, belong to many scripts.
    return unicodedata.category(character) == "Cc"
