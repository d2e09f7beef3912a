"""The tunnel beside the user's SSH: its messages, the gateway that carries it, and the sockets of the meters."""
