"""Figures: one module each, with ``draw(tables, order) -> (figure, rows)``.

``tables`` maps a statistics table's name to a data frame and ``order`` an axis of the
grid to its names in the order of the config. ``rows`` are the numbers drawn; they are
stored beside the picture.
"""
