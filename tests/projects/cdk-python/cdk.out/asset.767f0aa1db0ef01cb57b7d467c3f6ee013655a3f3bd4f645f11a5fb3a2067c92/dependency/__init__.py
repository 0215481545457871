NAME = "dependency"
