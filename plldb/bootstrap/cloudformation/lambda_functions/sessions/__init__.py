"""Debugging sessions: their states, their store and their end."""
