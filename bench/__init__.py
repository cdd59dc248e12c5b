"""Benchmarks: side by side in one run, interleaved, ratios printed."""
