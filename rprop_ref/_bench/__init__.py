"""The GPU benchmark's parts: what is measured, how it is timed, and the table it is printed in."""
