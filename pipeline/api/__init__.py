"""The upstream: `client` moves bytes, `wire` says what they mean, `shapes` finds the pictures in an answer."""
