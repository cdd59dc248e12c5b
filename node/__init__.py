"""An agency's node: the only judge of the agency's own data."""
