"""How the instances of each modality are fetched, prepared and read: see `data.modality`."""
