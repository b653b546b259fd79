"""Programs of the manner of ``espnet2.bin``."""
