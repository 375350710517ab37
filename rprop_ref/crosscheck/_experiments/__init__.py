"""Experiments on an implementation, from which its table is learned event by event."""
