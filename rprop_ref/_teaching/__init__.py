"""What is made for lessons only: the table that students fill in by hand."""
