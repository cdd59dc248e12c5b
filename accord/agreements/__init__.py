"""Agreements: what two agencies signed, folded into a decision. Pure but for the loaders."""
