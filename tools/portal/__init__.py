"""The portal: people, cards and permissions, and how they come to every charger."""
