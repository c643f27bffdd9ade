"""Who may charge here: tokens, the allow-list on flash, and how it is kept in step."""
