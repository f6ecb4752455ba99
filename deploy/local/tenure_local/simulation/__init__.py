"""The seeded world with the real services in it: what they are fed, what must hold throughout, and the command that runs it."""
