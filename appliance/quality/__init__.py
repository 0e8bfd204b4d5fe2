"""How well the box answers: figures by the hour, what has drifted, and what people say about answers."""
