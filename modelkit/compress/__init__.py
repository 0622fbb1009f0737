"""Makes trained networks smaller and faster: prunes channels, quantises, and searches for the best of both.

Each step reads a run's folder and writes another one, so that whatever takes a run takes what comes out.
"""
