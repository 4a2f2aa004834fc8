"""poe-proxy: a pool of Poe API keys behind one OpenAI-compatible API."""
