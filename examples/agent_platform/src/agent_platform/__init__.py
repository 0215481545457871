"""The API of a platform whose agents run jobs: sessions of users, agents, jobs."""

__version__ = "1.0.0"
