"""What the pull benchmark is made of: the servers it starts, the content, the load."""
