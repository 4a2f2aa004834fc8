"""Values as an operator writes them, in the environment or in a file, and how they are read."""
