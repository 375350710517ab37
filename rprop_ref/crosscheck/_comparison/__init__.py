"""Running an implementation on cases, and comparing it with the claimed rule."""
