"""What talks over a network: the client and, in `server`, a server. Imports no TensorFlow."""

from .client import Answer, AsyncClient, Client

__all__ = ["Answer", "AsyncClient", "Client"]
