"""The soak: everything at once for a while, and then a look at what the gateway has left over."""
