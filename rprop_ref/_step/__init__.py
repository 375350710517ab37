"""One step of parameters: `Rprop` and `rprop`, and the plans by which arrays become flat ones."""
