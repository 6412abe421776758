"""What a dataset is and what must hold of it. Pure: no I/O, no protobuf, no clock."""
