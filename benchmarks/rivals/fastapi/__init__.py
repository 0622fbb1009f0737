"""The rival made with FastAPI and uvicorn."""
