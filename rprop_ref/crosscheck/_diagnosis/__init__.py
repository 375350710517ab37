"""The search for known deviations that explain what was observed."""
