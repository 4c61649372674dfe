"""The tokens that every vocabulary starts with, and their ids."""

# Padding, a token that the vocabulary lacks, the start and the end of a target.
PAD_TOKEN = "[PAD]"
UNKNOWN_TOKEN = "[UNK]"
START_TOKEN = "[START]"
END_TOKEN = "[END]"

# Padding is id 0 everywhere, so that `ids != 0` is the padding mask.
SPECIAL_TOKENS = (PAD_TOKEN, UNKNOWN_TOKEN, START_TOKEN, END_TOKEN)
PAD_ID, UNKNOWN_ID, START_ID, END_ID = range(4)
