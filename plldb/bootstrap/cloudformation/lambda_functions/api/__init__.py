"""The operations of the REST APIs."""
