"""The report: the verdict and all results, as text, JSON, HTML or a Python script."""
