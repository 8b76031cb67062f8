"""`caas chat`: a terminal client, on the asyncio face and Textual."""
