"""What writes down what the code knows: golden frames, tables of the docs, constants of the SDKs. Run by `make generated`."""
