"""The broker: forwards only what an agreement allows, merges, records."""
