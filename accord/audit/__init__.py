"""The audit log: leaves of salted commitments, a Merkle tree, signed checkpoints."""
