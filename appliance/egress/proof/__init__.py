"""The proof: a whole day of the box in a network where everything answers, and whoever calls is written down."""
