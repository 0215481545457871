"""Invocations under debugging: their states, their store, their tokens and their payloads."""
