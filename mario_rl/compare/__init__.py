"""Compare: many runs, whoever made them, to statistics and one page."""
