"""Times over many models, devices, dtypes and batches, and the Pareto front."""
