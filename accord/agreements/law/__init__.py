"""Law as data: packs of rules (``*.toml``), read strictly, applied by pure functions."""
