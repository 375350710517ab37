"""Many runs: `minimize_many`, its starts, the ways to run them, and their results as columns."""
