"""The binary optimizers without Keras: one file each, shared by both Keras APIs."""
