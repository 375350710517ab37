"""One run: `minimize`, its options and state, its objective, and the drivers that evaluate it."""
