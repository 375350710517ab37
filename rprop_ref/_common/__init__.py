"""What has nothing to do with Rprop: npz files, display, worker processes, the stack level of a warning."""
