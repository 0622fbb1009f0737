"""Models from elsewhere: transformers, timm, ONNX files and plain weights become runs, judged like any other run."""
