"""An arena in which language models duel, and a visitor says who has won."""
