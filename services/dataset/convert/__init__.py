"""Protobuf to domain and back; what breaks a rule is refused here, every field at once."""
