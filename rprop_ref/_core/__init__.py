"""What everything stands on, and what is compiled: the iteration of `minimize`, dtypes, constants, events."""
