"""One training run: data to best model, resumable at every epoch."""
