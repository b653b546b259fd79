"""GAN training without a host: ``gan`` has both steps, ``losses`` what they weigh."""
