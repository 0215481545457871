"""What gets deployed: the template, the code of its functions, and the layer of debugged ones."""
