"""Networks that are held to an equation: in the frame of the box, and along characteristics."""
