"""Helpers that have nothing to do with Rprop: npz files, tables, workers, 16-bit dtypes, warnings."""
