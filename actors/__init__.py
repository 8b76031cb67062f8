"""Who is alive: connections, rooms and tenants, and what carries messages between them."""
