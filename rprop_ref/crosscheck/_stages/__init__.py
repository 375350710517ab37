"""A rule as a composition of small functions in five stages, and the machine that runs many of them at once."""
