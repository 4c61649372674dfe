import html
import itertools
import warnings

import fontTools.fontBuilder
import fontTools.pens.ttGlyphPen
import matplotlib
import matplotlib.figure
import matplotlib.font_manager
import numpy as np
import pytest

from keras_seq2seq.decoding import Node, SearchTree
from keras_seq2seq.errors import InputError
from keras_seq2seq.pictures import (
    draw_attention,
    draw_search_tree,
    plot_accuracy_by_length,
    plot_attention,
    plot_search_tree,
)
from keras_seq2seq.pictures.attention import _title
from keras_seq2seq.pictures.fonts import families_for
from keras_seq2seq.settings import GenerationSettings


@pytest.mark.parametrize("suffix, start", [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture_has_the_format_of_its_name(tmp_path, suffix, start):
    path = tmp_path / "folder" / f"attention{suffix}"
    plot_attention(np.eye(2), ["a", "end"], ["AA", "end"], path)
    assert path.read_bytes().startswith(start)


def test_a_picture_of_a_generated_target(text_model, tmp_path):
    path = tmp_path / "attention.svg"
    assert draw_attention(text_model, "cab", path) == text_model.generate("cab")
    assert path.stat().st_size > 1000


def test_a_picture_shows_where_the_search_looked(text_model, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "keras_seq2seq.pictures.attention.plot_attention",
        lambda weights, sources, targets, path, title: drawn.update(
            weights=weights, sources=sources, targets=targets
        ),
    )
    target = draw_attention(text_model, "cab", tmp_path / "a.png", GenerationSettings(3))
    assert drawn["sources"] == ["c", "a", "b", "end"]
    assert drawn["targets"] == [*target.split(), "end"]
    expected = text_model.align(["cab"], [target])[0]
    np.testing.assert_allclose(drawn["weights"], expected, atol=1e-4)


@pytest.mark.parametrize("suffix, start", [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture_of_a_search(text_model, tmp_path, suffix, start):
    path = tmp_path / "folder" / f"tree{suffix}"
    draw_search_tree(text_model, "cab", path, GenerationSettings(num_beams=3))
    assert path.read_bytes().startswith(start)


def test_a_search_is_drawn_with_every_hypothesis(tmp_path):
    nodes = [
        Node(-1, -1, 0, 0.0),
        Node(5, 0, 1, -0.5),
        Node(6, 0, 1, -1.5),
        Node(1, 1, 2, -0.75, rank=0, score=-0.75),
        Node(7, 1, 2, -2.25),
    ]
    path = tmp_path / "tree.svg"
    matplotlib.rcParams["svg.fonttype"] = "none"  # Text stays text.
    try:
        plot_search_tree(SearchTree(nodes, end_id=1), "token-{}".format, path, title="words")
    finally:
        matplotlib.rcParams["svg.fonttype"] = "path"
    text = path.read_text("utf-8")
    for written in ("start", "token-5", "token-6", "token-7", "-2.25", "1. score -0.75"):
        assert written in text


def test_scripts_of_the_default_font_need_no_other():
    assert families_for(["cab", "вода", "שלום", "سلام", "νερό"]) == ["DejaVu Sans"]


@pytest.fixture
def no_other_font(monkeypatch):
    """A machine with Matplotlib's own fonts alone."""
    manager = matplotlib.font_manager.fontManager
    own = [entry for entry in manager.ttflist if "matplotlib" in str(entry.fname)]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(matplotlib.font_manager, "findSystemFonts", lambda: [])


@pytest.fixture
def han_font(no_other_font, tmp_path):
    """An installed font that has one Han character, which others may lack."""
    name, character = "Test Han", "\U00030ede"
    builder = fontTools.fontBuilder.FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "han"])
    builder.setupCharacterMap({ord(character): "han"})
    pen = fontTools.pens.ttGlyphPen.TTGlyphPen(None)
    for point in ((0, 0), (0, 800), (800, 800), (800, 0)):
        (pen.lineTo if point != (0, 0) else pen.moveTo)(point)
    pen.closePath()
    glyph = pen.glyph()
    builder.setupGlyf({".notdef": glyph, "han": glyph})
    builder.setupHorizontalMetrics({".notdef": (900, 0), "han": (900, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": name, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "han.ttf")
    manager = matplotlib.font_manager.fontManager
    manager.addfont(tmp_path / "han.ttf")
    yield name, character
    manager.ttflist[:] = [entry for entry in manager.ttflist if entry.name != name]


def test_another_installed_font_gives_what_the_default_lacks(han_font, tmp_path):
    name, character = han_font
    assert families_for(["cab", character]) == ["DejaVu Sans", name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_attention(np.eye(2), [character, "b"], ["a", "b"], tmp_path / "a.png", character)


def test_characters_that_no_font_has_are_named(no_other_font):
    message = r"No installed font has 𰻝 \(CJK UNIFIED IDEOGRAPH-30EDD\): drawn as a box"
    with pytest.warns(UserWarning, match=message):
        assert families_for(["a\U00030edd"]) == ["DejaVu Sans"]


def test_another_format_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match="must end in .png or .svg"):
        plot_attention(np.eye(1), ["a"], ["b"], tmp_path / "attention.gif")


def test_weights_must_fit_the_tokens(tmp_path):
    with pytest.raises(ValueError, match=r"Received: shape \(2, 2\), 1 target and 2 source"):
        plot_attention(np.eye(2), ["a", "b"], ["c"], tmp_path / "attention.png")


@pytest.mark.parametrize("text", ["from $10 to $20", "$x_$", "$\\frac$", "a^{2}_$"])
def test_a_text_is_drawn_as_it_is(text, tmp_path, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")  # Text stays text.
    nodes = [Node(-1, -1, 0, 0.0), Node(5, 0, 1, -0.5, rank=0, score=-0.5)]
    written = html.escape(text, quote=False)
    for name, draw in {
        "attention": lambda path: plot_attention(
            np.eye(2), [text, "b"], [text, "c"], path, text
        ),
        "tree": lambda path: plot_search_tree(
            SearchTree(nodes, end_id=1), lambda _: text, path, text
        ),
        "lengths": lambda path: plot_accuracy_by_length({text: {text: [(1, 0.5)]}}, path),
    }.items():
        path = tmp_path / f"{name}.svg"
        draw(path)
        found = path.read_text("utf-8").replace("\u2423", " ")
        assert found.count(written) >= 2, name
    assert matplotlib.rcParams["text.parse_math"]


@pytest.mark.parametrize(
    "tokens",
    [
        list("abcdef"),
        "The internationalization of documentation needs considerable effort".split(),
        ["x" * 100, "y" * 90, "z"],
        [f"word{i}" for i in range(120)],
    ],
    ids=["characters", "words", "very long", "many"],
)
def test_labels_never_lie_on_each_other(tokens, tmp_path, monkeypatch):
    kept = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure,
        "savefig",
        lambda self, path: (kept.append(self), save(self, path, dpi=40)),
    )
    plot_attention(np.full((5, len(tokens)), 0.1), tokens, tokens[:1] * 5, tmp_path / "a.png")
    (figure,) = kept
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        boxes = [
            label.get_window_extent() for label in axis.get_ticklabels() if label.get_text()
        ]
        for one, other in itertools.pairwise(boxes):
            assert not one.overlaps(other)


def test_a_picture_that_would_be_too_large_gets_fewer_dots(tmp_path):
    nodes = [Node(-1, -1, 0, 0.0)]
    nodes += [Node(5, index, index + 1, -1.0) for index in range(200)]
    with pytest.warns(UserWarning, match="dots an inch in place of 150"):
        plot_search_tree(SearchTree(nodes, end_id=1), str, tmp_path / "tree.png")


@pytest.mark.parametrize(
    ("source", "target", "arrow"),
    [("a", "b", "→"), ("سلام", "hello", "←"), ("12", "שלום", "←"), ("hello", "سلام", "→")],
)
def test_the_arrow_points_from_source_to_target(source, target, arrow):
    assert _title(source, target) == f"{source} {arrow} {target}"


def test_a_font_that_came_after_matplotlib_looked_is_found(han_font, tmp_path, monkeypatch):
    name, character = han_font
    manager = matplotlib.font_manager.fontManager
    manager.ttflist[:] = [entry for entry in manager.ttflist if entry.name != name]
    monkeypatch.setattr(
        matplotlib.font_manager, "findSystemFonts", lambda: [str(tmp_path / "han.ttf")]
    )
    assert families_for([character]) == ["DejaVu Sans", name]


def test_a_font_that_is_gone_is_passed_over(han_font, tmp_path):
    name, character = han_font
    (tmp_path / "han.ttf").unlink()
    with pytest.warns(UserWarning, match="No installed font has"):
        assert families_for([character]) == ["DejaVu Sans"]
