"""What a trace is made of: the history of a run, one step as it is stored, the hooks of an optimizer."""
