"""Every interleaving of the real scripts within a small scope, on a real server."""
