"""Shards: tar files of FLAC and JSON, as WebDataset names them; ``shard.py`` makes them, ``index.py`` reads them."""
