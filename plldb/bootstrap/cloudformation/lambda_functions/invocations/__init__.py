"""Invocations under debugging: their states, their store and their payloads."""
