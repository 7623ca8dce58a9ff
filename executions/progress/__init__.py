"""Progress of executions for clients: notifications, streams, and the ASGI application that serves them."""
