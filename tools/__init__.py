"""What makers of plldb run; none of it is installed."""
