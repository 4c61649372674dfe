"""`python -m keras_seq2seq` is the command `keras-seq2seq`."""

from keras_seq2seq.cli import main

if __name__ == "__main__":
    main()
