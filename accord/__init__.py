"""Accord: the signed agreement between agencies is the access control.

This package holds all that nodes, brokers and clients share.
"""

import os

__version__ = "0.1.0"

# gRPC writes a line of its own for each handshake that fails, into our logs of one JSON object a
# line. How much it says is decided when it is imported, so this stands before all else.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
