"""Methods on suites of standard problems, exact and spoilt: ``python -m benchmarks.problems``."""
