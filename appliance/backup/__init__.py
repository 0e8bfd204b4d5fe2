"""One file that holds a box, made while it runs, and a box made of such a file."""
