"""Numbers from names: the same in every process, run and machine."""

from hashlib import blake2b


def sample_seed(seed: int, epoch: int, key: str) -> int:
    """Give the seed of one sample's draws in one epoch, 63 bits."""
    return hash63(f"{seed}/{epoch}/{key}")


def hash63(text: str) -> int:
    """Give a text's number, 63 bits: fits an int64, equal for equal texts only."""
    # Names in a tar that are no UTF-8 come with halves of characters.
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
