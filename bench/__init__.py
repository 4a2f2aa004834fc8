"""What the gateway costs, measured beside a bare pass-through and the same job done with Poe's own client."""
