"""Tensors in, logits out, through NVIDIA Triton."""
