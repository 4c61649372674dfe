"""Texts that stay on the disk: where each pair is, and reading it when it is asked for."""
