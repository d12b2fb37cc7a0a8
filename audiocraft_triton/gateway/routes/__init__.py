"""The gateway's doors, by what they do."""
