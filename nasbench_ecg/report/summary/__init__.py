"""One run, or all folds of one, in the terminal."""
