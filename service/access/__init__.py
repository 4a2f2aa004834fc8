"""Access: who is calling."""
