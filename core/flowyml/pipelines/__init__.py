"""Steps, the pipeline they form, and its run."""
