"""What talks to a server. Imports no TensorFlow."""

from .client import Answer, Client

__all__ = ["Answer", "Client"]
