"""The cases that every implementation is run on: the fixed ones (`conformance`), and random ones."""
