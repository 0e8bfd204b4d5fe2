"""One controller per noun; each handler is a signature, a call into the core and a struct out."""
