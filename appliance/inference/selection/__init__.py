"""Which model answers: a pure function of the box, what is offered, the routing policy and the request."""
