"""How good retrieval and answers are, on a question set, through the code that serves people."""
