"""Takes Fashion-MNIST through the whole life of a model, command by command, and measures what comes out."""
