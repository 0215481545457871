"""What the functions share. A layer carries it to all of them."""
