"""The parts of a trace: the stored rows and counts, the conversion of a step, and the hooks of an optimizer."""
