"""What is served over REST, described: every route once, `/openapi.json` made of them, and the page at `/docs`."""
