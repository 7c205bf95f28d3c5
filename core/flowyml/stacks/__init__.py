"""The file, the stack that is built from it, and which stack is active."""
