"""What is known of the words of human languages, for whoever reads text."""
