"""A rule as a table: what each event does to the step size, to x and to the memory, as data and as code."""
