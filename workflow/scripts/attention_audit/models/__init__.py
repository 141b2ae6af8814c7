"""Normalizers, scorers, encoders, and the classifiers made of them."""
