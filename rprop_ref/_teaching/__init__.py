"""What is made for lessons only: the table that one fills in by hand."""
