"""Signs manifests, so that services can tell who published a model: private keys, and what may be done with them."""
