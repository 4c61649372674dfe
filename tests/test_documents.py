"""What the pages say is so: commands have their options, YAML parses, names are right."""

import json
import os
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from click.shell_completion import BashComplete
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export.serving import COMPOSE, MONITORING, _batching_parameters
from keras_seq2seq import __version__
from keras_seq2seq.cli import main
from keras_seq2seq.serving.client import AS_EXPORTED

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SERVING = (ROOT / "docs" / "serving.md").read_text("utf-8")


FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(text, language=""):
    return [content for name, content in FENCED.findall(text) if name == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_has_the_options_that_it_shows(page):
    for block in blocks(page.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if not line.startswith("keras-seq2seq "):
                continue
            words = shlex.split(line, comments=True)[1:]
            words = words[: words.index("<")] if "<" in words else words
            command = main.commands[words[0]]
            context = click.Context(command, info_name=words[0])
            command.make_parser(context).parse_args(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    prose = re.sub(r"`[^`]*`", "", FENCED.sub("", page.read_text("utf-8")))
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
        assert (page.parent / target).exists(), target


def test_the_readme_fits_on_two_screens():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_the_completion_of_the_readme_is_that_of_the_command():
    variable = "_KERAS_SEQ2SEQ_COMPLETE"
    line = f'eval "$({variable}=bash_source keras-seq2seq)"'
    assert line in (ROOT / "README.md").read_text("utf-8")
    completion = BashComplete(main, {}, "keras-seq2seq", variable)
    options = completion.get_completions(["train", "--attention"], "mono")
    assert [option.value for option in options] == ["monotonic"]


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == __version__


def test_every_finding_is_told_pinned_and_can_be_run():
    findings = ROOT / "findings"
    told = re.findall(r"^\| `(\w+\.sh)` \|", (findings / "README.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(path.name for path in findings.glob("*.sh"))
    for name in told:
        path = findings / name
        assert os.access(path, os.X_OK), name
        (installed,) = re.findall(r"pip\" install .*?\\\n  (.*)\n", path.read_text())
        assert all("==" in package for package in shlex.split(installed)), name
        assert "keras_seq2seq" not in path.read_text(), name


def test_the_yaml_of_the_serving_page_parses_and_names_what_is_written():
    prometheus, gpu, kserve = (yaml.safe_load(block) for block in blocks(SERVING, "yaml"))
    compose = yaml.safe_load(COMPOSE)
    (scrape,) = prometheus["scrape_configs"]
    assert f'path: "{scrape["metrics_path"]}"' in MONITORING
    (service,) = compose["services"]
    assert set(gpu["services"]) == {service}
    version = re.search(
        r":-tensorflow/serving:([\d.]+)}", compose["services"][service]["image"]
    )
    assert version is not None
    assert gpu["services"][service]["image"] == f"tensorflow/serving:{version[1]}-gpu"
    assert scrape["static_configs"] == [{"targets": [f"{service}:8501"]}]
    model = kserve["spec"]["predictor"]["model"]
    assert model["runtimeVersion"] == version[1]
    assert model["storageUri"].endswith(f"/{kserve['metadata']['name']}")


def test_the_command_for_docker_is_that_of_compose():
    service = yaml.safe_load(COMPOSE)["services"]["serving"]
    (command,) = re.findall(r"docker run .*?/monitoring.config", SERVING, re.DOTALL)
    words = shlex.split(command.replace("\\\n", " "))
    assert [word for word in words if word.startswith("--") and word != "--rm"] == (
        service["command"]
    )
    for port in service["ports"]:
        assert port in words


def test_the_models_config_of_the_page_is_one():
    (text,) = [block for block in blocks(SERVING) if block.startswith("model_config_list")]
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("demo", "/models/demo")
    assert sorted(model.version_labels.values()) == [1, 2]


def test_the_bodies_of_the_requests_name_every_input():
    bodies = [json.loads(body) for body in re.findall(r"-d '(\{.*?\})'", SERVING, re.DOTALL)]
    plain, options, stream = bodies
    assert stream == {"text": "hello", "n_best": 1}
    assert plain == {"instances": ["hello", "keras"]}
    (instance,) = options["instances"]
    assert set(instance) == {"text", *AS_EXPORTED}
    for name, value in instance.items():
        if name not in ("text", "prefix", "n_best"):
            assert value == AS_EXPORTED[name]


def test_the_batch_sizes_of_the_page_are_those_of_the_exporter():
    parameters = _batching_parameters((1, 2, 64))
    for sentence, line in (
        ("within 1 ms", "batch_timeout_micros { value: 1000 }"),
        ("`max_enqueued_batches` (100)", "max_enqueued_batches { value: 100 }"),
        ("up to 64 sources", "max_batch_size { value: 64 }"),
    ):
        assert sentence in SERVING and line in parameters
