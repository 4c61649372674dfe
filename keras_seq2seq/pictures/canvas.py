"""The one way in which a picture begins and ends: its fonts, its text, its size, its file."""

import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_atomically
from keras_seq2seq.pictures.fonts import families_for
from keras_seq2seq.wording import counted

FORMATS = (".png", ".svg")
DOTS_PER_INCH = 150
# A PNG of more is too much for most programs to open: it gets fewer dots an inch.
MOST_PIXELS = 64e6
LONGEST_SIDE = 20_000
# A label that is longer is drawn with an ellipsis in its middle.
LONGEST_LABEL = 40

# Matplotlib's settings belong to the process.
_drawing = threading.RLock()


def check_format(path: Path) -> None:
    """Raises `InputError` if the ending is none of a picture."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a picture must end in {' or '.join(FORMATS)}.")


@contextmanager
def figure_of(texts: Iterable[str]) -> Iterator[Any]:
    """A figure in which every text is drawn as it is, whatever it holds.

    Dollar signs begin no formula, and each character comes from a font that has it. What the
    figure is saved as must be written inside of the context.

    Args:
        texts: All that comes from the data or the settings of a person.

    Yields:
        A `matplotlib.figure.Figure`, which needs no display.
    """
    import matplotlib

    with _drawing, matplotlib.rc_context():
        # Read when a text is made, and ticks are made when the figure is drawn.
        matplotlib.rcParams["text.parse_math"] = False
        matplotlib.rcParams["text.usetex"] = False
        matplotlib.rcParams["axes.formatter.use_mathtext"] = False
        matplotlib.rcParams["font.family"] = families_for(texts)
        from matplotlib.figure import Figure

        yield Figure(dpi=DOTS_PER_INCH, layout="constrained")


@contextmanager
def picture(path: str | Path, texts: Iterable[str]) -> Iterator[Any]:
    """A figure that is written to a file at the end.

    Args:
        path: File to write, `.png` or `.svg`; folders are made.
        texts: As of `figure_of`.

    Raises:
        InputError: If the format is unknown, before anything is drawn, or the file cannot be
            written.

    Warns:
        UserWarning: If a PNG would be too large and gets fewer dots an inch.
    """
    path = Path(path)
    check_format(path)
    with figure_of(texts) as figure:
        yield figure
        if path.suffix.lower() == ".png":
            _limit_pixels(figure, path)
        write_atomically(path, figure.savefig)


def _limit_pixels(figure: Any, path: Path) -> None:
    width, height = figure.get_size_inches()
    most = min(
        (MOST_PIXELS / (width * height)) ** 0.5,
        LONGEST_SIDE / max(width, height),
    )
    if most < DOTS_PER_INCH:
        figure.set_dpi(max(1, int(most)))
        warnings.warn(
            f"{path}: {width:.0f} x {height:.0f} inches are drawn with "
            f"{counted(int(figure.dpi), 'dot')} an inch in place of {DOTS_PER_INCH}. An .svg "
            "can be enlarged.",
            stacklevel=4,
        )


def labels(tokens: Sequence[str]) -> list[str]:
    """Tokens as labels: spaces and controls visible, very long ones with an ellipsis."""
    shown = []
    for token in tokens:
        text = "".join(_visible(character) for character in token)
        if len(text) > LONGEST_LABEL:
            half = LONGEST_LABEL // 2
            text = f"{text[: half - 1]}…{text[-half:]}"
        shown.append(text)
    return shown


def _visible(character: str) -> str:
    if character.isspace():
        return "␣"
    # Controls would be boxes.
    return character if character.isprintable() or ord(character) > 0x9F else "�"


def widest(figure: Any, texts: Sequence[str], size: float) -> float:
    """Inches of the widest of some texts in points of `size`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    # The longest few are enough: widths follow lengths, and thousands would take long.
    candidates = sorted(set(texts), key=len)[-50:]
    extents = []
    for text in candidates:
        artist = figure.text(0, 0, text, fontsize=size)
        extents.append(artist.get_window_extent(renderer).width)
        artist.remove()
    return max(extents, default=0) / figure.dpi
