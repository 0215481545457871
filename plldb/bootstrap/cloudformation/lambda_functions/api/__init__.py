"""The operations of the management API, which is REST."""
