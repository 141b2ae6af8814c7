"""What the models of each modality are made of: see `data.modality`."""
