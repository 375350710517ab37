"""Many runs: `minimize_many`, where they start, who runs them, and their results as columns."""
