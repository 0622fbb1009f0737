"""Tells how good a trained model is: right answers, calibration, cost, robustness, and a card that says it all.

Nothing here needs torch: what is measured is the ONNX file, through the engine and the preprocessing that serve.
"""
