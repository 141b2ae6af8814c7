"""Measures of a decision, and what follows over decisions and seeds."""
