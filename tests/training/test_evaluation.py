"""What is compared with what, and what a run's evaluation holds."""

import pytest
import sacrebleu

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from training.evaluation import evaluate, parts_table, results_table
from training.run.callbacks import DecodedErrorRates
from training.run.checks import fitting_metric
from training.settings import TrainingConfig

SOURCES = ["cab", "fee", "cab", "a" * 30]


@pytest.fixture(scope="module")
def answers(text_model):
    """What the model says to a source that occurs twice, another right answer, and two
    wrong ones."""
    said = text_model.generate("cab")
    return Pairs(SOURCES, [said, "never", "AA", "AA"])


def test_a_source_with_several_answers_counts_once_or_as_pairs(text_model, answers):
    by_source = evaluate(text_model, answers)
    assert by_source.rates.sequences == 3
    assert by_source.rates.sequence_error_rate == pytest.approx(2 / 3)
    by_pair = evaluate(text_model, answers, references="pair")
    assert by_pair.rates.sequences == 4
    assert by_pair.rates.sequence_error_rate == pytest.approx(3 / 4)
    # One text a source, and none for the one that is too long.
    assert by_source.texts == by_pair.texts == [*text_model.generate(["cab", "fee"]), ""]


def test_scores_compare_what_the_error_rates_compare(text_model, answers):
    found = evaluate(text_model, answers, metric="chrf", references="pair")
    one, other, none = found.texts
    chrf = sacrebleu.CHRF()
    expected = chrf.corpus_score([one, other, one, none], [answers.targets]).score
    assert found.values["chrf"] == pytest.approx(expected)
    assert set(found.values) == {"token_error_rate", "sequence_error_rate", "chrf"}
    assert found.scores is not None and found.scores.signature == str(chrf.get_signature())


def test_an_epoch_logs_them(text_model, answers):
    callback = DecodedErrorRates(answers, metric="rouge", references="pair")
    callback.set_model(text_model)
    logs: dict = {}
    callback.on_epoch_end(0, logs)
    assert set(logs) == {
        "val_token_error_rate",
        "val_sequence_error_rate",
        "val_rouge_1",
        "val_rouge_2",
        "val_rouge_l",
    }
    assert logs["val_sequence_error_rate"] == pytest.approx(3 / 4)


def test_tables_show_scores_and_parts():
    result = {
        "token_error_rate": 0.5,
        "sequence_error_rate": 0.25,
        "sequences": 4,
        "bleu": 41.02,
        "search": "greedy",
        "milliseconds_each": 1.0,
        "token_name": "subword",
        "sequence_name": "caption",
    }
    table = results_table([result], [("published", 1.0, 2.0)])
    cells = [list(column.cells) for column in table.columns]
    assert [str(column.header) for column in table.columns][3] == "bleu"
    assert cells[3][0] == "41.02" and cells[2] == ["25.00 %", "2.00 %"]
    shown = [list(column.cells) for column in parts_table({"starts": 0.5}).columns]
    assert shown == [["starts"], ["50.00 %"]]


def test_a_monitor_that_cannot_choose_is_refused_before_training():
    short = Pairs(["a", "b"], ["good day", "yes"])
    with pytest.raises(
        InputError, match="--monitor bleu cannot choose an epoch here: no target"
    ):
        fitting_metric(TrainingConfig(metric="bleu", monitor="bleu"), short)
    # A run that began so, with an older version, goes on.
    assert fitting_metric(TrainingConfig(metric="bleu", monitor="bleu"), short, began=True)
    (note,) = fitting_metric(TrainingConfig(metric="bleu"), short)
    assert "tokens on average" in note
    assert fitting_metric(TrainingConfig(), short) == []
    by_characters = TrainingConfig(metric="bleu", monitor="bleu", bleu_tokenizer="char")
    assert fitting_metric(by_characters, Pairs(["a"], ["today"])) == []
    with pytest.raises(InputError, match="--bleu-tokenizer applies to --metric bleu"):
        TrainingConfig(metric="chrf", bleu_tokenizer="char")


def test_every_output_has_its_log_probability(text_model, answers):
    rows = evaluate(text_model, answers).outputs
    found = text_model.search(["cab", "fee"]).log_probs[:, 0].tolist()
    assert [row["log_prob"] for row in rows[:2]] == pytest.approx(found)
    assert rows[2]["log_prob"] is None
