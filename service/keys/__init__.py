"""Keys: accounts and their Poe keys, leased one request at a time."""
