"""What can be asked of the dataset service. Each method is one use case."""
