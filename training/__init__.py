"""Training runs: configuration, run directories, callbacks, evaluation and recipes."""
