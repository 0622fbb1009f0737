"""What every Triptych process shares, and nothing about images."""
