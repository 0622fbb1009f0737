"""The three panels of the picture: preprocess, inference, postprocess. They know neither each other nor the gateway."""
