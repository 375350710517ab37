"""One step of parameters: `Rprop` and `rprop`, and the plans that turn their arrays into flat ones."""
