"""Users' functions in graphs: what they are made of, and how generated code finds them."""
