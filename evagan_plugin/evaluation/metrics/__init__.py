"""One file a family of objective metrics; ``catalogue`` names them all."""
