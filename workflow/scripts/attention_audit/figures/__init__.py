"""Figures: one module each, with ``draw(tables, order) -> (pages, rows)``.

``tables`` maps a statistics table's name to a data frame and ``order`` an axis of the
grid to its names in the order of the config. ``pages`` are the figure's pages, drawn
as they are asked for (see `pages.panel_pages`), and ``rows`` the numbers of all of
them; they are stored beside the picture.
"""
