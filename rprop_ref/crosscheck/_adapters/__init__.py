"""Other packages as factories for `check`. A package is imported only when its factory is used."""
