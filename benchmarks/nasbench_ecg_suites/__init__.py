"""What is compared: suites, and the figures published elsewhere; data, no code."""
