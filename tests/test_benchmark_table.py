"""The table of the benchmark: what is compared with what, and other toolkits' commands."""

import json
import sys

import pytest
from click.testing import CliRunner

from benchmarks import table
from benchmarks.limits import bound, training_bound
from benchmarks.workloads import WORKLOADS

JOB = {"workload": "tiny", "mode": "decode", "variant": "keras", "batch": 32, "beam": 5}
JOB |= {"threads": 2}
# A toolkit that adds a line with what it was asked for, but knows no rnn.
PEER = """
import json, sys
asked = dict(option.lstrip("-").split("=") for option in sys.argv[1:])
if asked["workload"] != "rnn":
    row = {name: int(v) if v.isdigit() else v for name, v in asked.items() if name != "out"}
    row |= {"peer": "other", "variant": "fast", "tok_s": 50.0}
    open(asked["out"], "a").write(json.dumps(row) + "\\n")
"""


@pytest.fixture
def command(tmp_path):
    script = tmp_path / "time_other.py"
    script.write_text(PEER, "utf-8")
    return f"{sys.executable} {script}"


def test_a_command_gives_the_row_of_the_same_size(command):
    row = table.run_peer(command, JOB)
    assert {name: row[name] for name in table.SIZE} == {name: JOB[name] for name in table.SIZE}
    assert table.run_peer(command, {**JOB, "workload": "rnn"}) is None


def test_the_best_peer_is_the_fastest_of_the_same_size():
    peers = [
        {**JOB, "peer": "slow", "tok_s": 10.0},
        {**JOB, "peer": "fast", "tok_s": 20.0},
        {**JOB, "peer": "smaller", "batch": 1, "tok_s": 90.0},
    ]
    assert table.best_peer({**JOB, "tok_s": 15.0}, peers) == peers[1]
    assert table.best_peer({**JOB, "beam": 1}, peers) is None


def test_a_set_is_timed_beside_a_command(monkeypatch, tmp_path, command):
    jobs = [JOB, {**JOB, "variant": "saved_model"}, {**JOB, "workload": "rnn"}]
    times = {"wall_s": 1.0, "wall_p10_s": 0.5, "wall_p90_s": 2.0, "first_s": 3.0}

    def run(job, artefacts, seconds):
        return {**job, "peer": table.OURS, "tok_s": 100.0, "peak_mb": 1234.0, **times}

    sizes = {
        one.multiply_adds()["weights"] * size for one in WORKLOADS.values() for size in (1, 4)
    }
    reading = {f"read_{max(1, round(size / 2**20))}_mb_s": 1e9 for size in sizes}
    monkeypatch.setattr(table, "jobs", lambda which: jobs)
    monkeypatch.setattr(table, "run", run)
    monkeypatch.setattr(table, "measure_rates", lambda threads: {"flop_s": 1e9, **reading})
    rows, text = tmp_path / "rows.jsonl", tmp_path / "table.md"
    arguments = ["--peer", command, "--json", rows, "--markdown", text]
    arguments += ["--artefacts", tmp_path]
    result = CliRunner().invoke(table.main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "no row of" in result.output
    peers = [json.loads(line)["peer"] for line in rows.read_text("utf-8").splitlines()]
    # Once for both of our rows of a size.
    assert peers == [table.OURS, table.OURS, "other", table.OURS]
    assert (
        "| tiny | keras | 32 | 5 | 2 | 100 | 50 to 200 | other fast | 2.00 |"
        in text.read_text()
    )
    assert "| tiny | keras | 32 |  | 3 |  |  | 1,234 |" in text.read_text("utf-8")


@pytest.mark.parametrize("wrong", ["", "no-such-program --fast"])
def test_a_command_that_is_none_is_refused_before_anything_is_timed(monkeypatch, wrong):
    monkeypatch.setattr(table, "measure_rates", lambda threads: pytest.fail("measured"))
    result = CliRunner().invoke(table.main, ["--peer", wrong])
    assert result.exit_code == 2 and "--peer must be a command" in result.output


def test_bounds_by_hand():
    parts = WORKLOADS["tiny"].multiply_adds()
    weights = f"read_{round(4 * parts['weights'] / 2**20)}_mb_s"
    step = parts["decoder"] + parts["logits"] + parts["encoder"]
    slow_memory = {"flop_s": 1e30, weights: 1e9}
    slow_products = {"flop_s": 1e9, weights: 1e30}
    assert bound("tiny", 3, 1, slow_memory) == pytest.approx(3 * 1e9 / (4 * parts["weights"]))
    assert bound("tiny", 3, 1, slow_products) == pytest.approx(1e9 / (2 * step))
    assert training_bound("tiny", slow_products) == pytest.approx(1e9 / (6 * step))
