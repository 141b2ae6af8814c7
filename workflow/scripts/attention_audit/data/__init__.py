"""Where texts come from, how they are prepared, and which are audited."""
