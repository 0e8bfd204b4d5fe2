"""The seal: what the kernel takes from every process of the box, so that none of them can reach another machine."""
