"""The way of a trained model into the repository: gates that judge it, and what is kept of every version."""
