"""What goes over the wire, as msgspec structs, one module per noun."""
