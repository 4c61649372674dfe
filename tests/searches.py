"""Settings of generation that every artefact must follow."""

from keras_seq2seq.settings import GenerationSettings

BEAM = GenerationSettings(num_beams=3, num_hypotheses=2, length_penalty=0.5)

EVERY_RULE = GenerationSettings(
    num_beams=4,
    num_hypotheses=3,
    num_beam_groups=2,
    coverage_penalty=0.3,
    length_rule="reward",
    length_penalty=0.2,
    max_length_ratio=1.5,
    min_length_ratio=0.5,
    no_repeat_ngram_size=2,
    repetition_penalty=1.1,
    suppress=("BB",),
    bias={"AA": 0.5, "[UNK]": 2.0},
    replace_unknown=True,
)
