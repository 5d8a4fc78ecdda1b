"""Where the pictures stand."""
