"""What the site has beside the pages of docs/: an API reference out of the docstrings, the
README as its first page, the other pages of the root, the notebook and every command's help.

Reads source alone: building the site imports no TensorFlow.
"""

import ast
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
import griffe
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

from keras_seq2seq.cli import main

ROOT = Path(__file__).parent.parent
ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
}
# Modules that users import from, beside every one with an `__all__` and every one that the
# library itself names.
ALSO_PUBLIC = (
    "errors",
    "models.rebuilding",
    "models.trained_parts",
    "special_tokens",
    "training.evaluation.comparison",
    "training.evaluation.results",
    "training.recipes",
    "training.run.averaging",
    "training.run.callbacks",
    "training.run.trainer",
    "training.run_directory",
)

_staged = tempfile.TemporaryDirectory()


class CommentsAsDocstrings(griffe.Extension):
    """A constant is documented by the comment above it. A field of settings, `setting(default,
    help, ...)`, is documented by its help, and its value is the default."""

    def on_attribute_instance(
        self, *, node: Any, attr: griffe.Attribute, **kwargs: Any
    ) -> None:
        text = _comment_above(attr)
        if isinstance(attr.value, griffe.ExprCall) and str(attr.value.function) == "setting":
            text = ast.literal_eval(node.value.args[1])
            attr.value = attr.value.arguments[0]
        if not attr.docstring and text:
            attr.docstring = griffe.Docstring(text, parent=attr)


def _comment_above(attribute: griffe.Attribute) -> str:
    if not isinstance(attribute.filepath, Path) or not attribute.lineno:
        return ""
    above = attribute.filepath.read_text("utf-8").splitlines()[: attribute.lineno - 1]
    while above and re.match(r"[A-Z_, ]+ = ", above[-1]):
        above.pop()  # One comment may stand above several constants.
    comment = takewhile(lambda line: line.lstrip().startswith("# "), reversed(above))
    return "\n".join([line.lstrip()[2:] for line in comment][::-1])


def load_package(root: Path, folder: Path) -> griffe.Module:
    """The package under its installed names, read from the four folders of the repository."""
    package = folder / "keras_seq2seq"
    shutil.copytree(root / "keras_seq2seq", package, dirs_exist_ok=True)
    for room in ("training", "export"):
        shutil.copytree(root / room, package / room, dirs_exist_ok=True)
    return griffe.load(
        "keras_seq2seq",
        search_paths=[folder],
        extensions=griffe.load_extensions(CommentsAsDocstrings),
        resolve_aliases=True,
        try_relative_path=False,  # Not the folder of this name in the checkout.
    )


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for child in module.modules.values():
        if not child.is_alias:
            yield from _modules(child)


def public_names(module: griffe.Module) -> list[str]:
    """What a module offers: its `__all__`, or what it defines without an underscore."""
    if module.exports is not None:
        if not all(isinstance(name, str) for name in module.exports):
            raise PluginError(f"{module.path}: `__all__` must be a list of strings.")
        return sorted(map(str, module.exports))
    return sorted(
        name
        for name, member in module.members.items()
        if not name.startswith("_") and not member.is_alias and not member.is_module
    )


def public_modules(package: griffe.Module) -> list[griffe.Module]:
    """The modules that have a page, in the order of their names."""
    named = {*ALSO_PUBLIC, *ast.literal_eval(str(package["_SUBPACKAGES"].value))}
    pages = []
    for module in _modules(package):
        name = module.path.removeprefix(f"{package.name}.")
        # Recipes are found by name, not imported.
        if module is package or name.startswith(("training.recipes.", "__")):
            continue
        if module.exports is not None or name in named:
            pages.append(module)
    return sorted(pages, key=lambda module: module.path)


def undocumented(package: griffe.Module) -> list[str]:
    """Public modules, and public names of theirs, without a word on what they are."""
    missing = []
    for module in public_modules(package):
        if not module.docstring:
            missing.append(module.path)
        for name in public_names(module):
            if name not in module.members or not module[name].docstring:
                missing.append(f"{module.path}.{name}")
    return missing


def reference_page(module: griffe.Module) -> str:
    """The Markdown of a module's page: its docstring and all its public names."""
    names = public_names(module)
    options = {"show_root_heading": False, "show_root_toc_entry": False, "members": names}
    return f"# {module.path}\n\n::: {module.path}\n    options: {json.dumps(options)}\n"


def notebook_page(notebook: dict[str, Any]) -> str:
    """A notebook's cells as Markdown."""
    cells = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        cells.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    cells.append("All of this in one file: [notebook.ipynb](notebook.ipynb).")
    return "\n\n".join(cells) + "\n"


def commands_page() -> str:
    """The help of every command."""
    parts = ["# Commands", "What `keras-seq2seq COMMAND --help` prints."]
    for name, command in sorted(main.commands.items()):
        context = click.Context(
            command, info_name=f"keras-seq2seq {name}", max_content_width=96
        )
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(parts) + "\n"


@event_priority(100)  # Before mkdocstrings reads where the source is.
def on_config(config: Any) -> Any:
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [_staged.name]
    return config


def on_files(files: Any, config: Any) -> Any:
    package = load_package(ROOT, Path(_staged.name))
    if missing := undocumented(package):
        raise PluginError(f"Public names without a docstring: {', '.join(missing)}.")
    pages = {}
    for path, page in ROOT_PAGES.items():
        text = (ROOT / path).read_text("utf-8").replace("](docs/", "](")
        pages[page] = text.replace("](notebook.ipynb)", "](notebook.md)")
    pages["notebook.md"] = notebook_page(json.loads((ROOT / "docs/notebook.ipynb").read_text()))
    pages["commands.md"] = commands_page()
    reference = []
    for module in public_modules(package):
        page = f"reference/{module.path}.md"
        pages[page] = reference_page(module)
        reference.append({module.path.removeprefix("keras_seq2seq."): page})
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    named = json.dumps(config.nav)
    more = [
        file.src_uri
        for file in files.documentation_pages()
        if f'"{file.src_uri}"' not in named and not file.src_uri.startswith("reference/")
    ]
    config.nav = [*config.nav, *([{"More": more}] if more else []), {"Reference": reference}]
    return files


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Code in tables: here a bar needs no backslash, on code hosts it does."""
    rows = re.compile(r"^\|.*$", re.MULTILINE)
    return rows.sub(lambda row: re.sub(r"`[^`]*`", _without_backslashes, row[0]), markdown)


def _without_backslashes(code: re.Match[str]) -> str:
    return code[0].replace(r"\|", "|")
