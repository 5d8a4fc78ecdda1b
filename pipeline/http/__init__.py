"""The wire: sessions and where they may lead, one request and its answer, and what servers say of their pace."""
