"""Many runs: `minimize_many`, where they begin, how they are run, and their results as columns."""
