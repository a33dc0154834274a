"""What run records say, in the terminal and on the page."""
